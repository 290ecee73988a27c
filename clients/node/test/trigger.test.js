// The trigger in Node: batches, what is left out, and that it never stands in the way of a search.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BudgetShares, chunkKey, contentHash, decisionOf, kafkajsTransport, VerificationTrigger } from '../src/index.js'

const NOW = 1_790_000_000_000
const DAY = 86_400_000
const LIVE = { mode: 'Live', verify: true, topK: 10, revision: 7 }

const chunks = (count, more = {}) => Array.from({ length: count }, (_, number) => (
  { orgId: 'org', documentId: `doc-${number}`, blockId: '0', content: `text ${number}`, ...more }))
const keyOf = chunk => chunkKey(chunk.orgId, chunk.documentId, chunk.blockId, contentHash(chunk.content))

function rig (settings = {}) {
  const made = { batches: [], said: [], now: NOW, transport: async () => {} }
  made.trigger = new VerificationTrigger(
    messages => { made.batches.push(messages); return made.transport(messages) },
    { rollout: 'search/demo', lingerMs: 1, retryMs: 1, clock: () => made.now, log: text => made.said.push(text), ...settings })
  made.sent = () => made.batches.flat().map(message => JSON.parse(message.value))
  return made
}

test('a batch by size, the rest by time', async () => {
  const { trigger, batches } = rig({ batchSize: 4 })
  assert.equal(trigger.offer(LIVE, chunks(10), 'query'), 10)
  assert.deepEqual(batches, [], 'nothing is sent before the search has gone on')
  await trigger.close()
  assert.deepEqual(batches.map(batch => batch.length), [4, 4, 2])
  assert.equal(trigger.counts.chunks.sent, 10)
  const late = rig({ batchSize: 100 })
  late.trigger.offer(LIVE, chunks(2))
  await new Promise(resolve => { late.transport = async () => resolve() })
  assert.equal(late.sent().length, 2)
  assert.equal(late.sent()[0].rollout, 'search/demo')
})

test('nothing when the decision does not verify', () => {
  const { trigger } = rig()
  const off = [{ ...LIVE, mode: 'Off' }, { ...LIVE, verify: false }, { ...LIVE, topK: 0 }]
  for (const decision of off) assert.equal(trigger.offer(decision, chunks(3)), 0)
  assert.deepEqual(trigger.counts.queries, { sampled: 0, unsampled: 2, off: 1 })
})

test('what waits is dropped when it is off', async () => {
  const state = { mode: 'Live', samplingRate: 0 }
  const { trigger, batches } = rig({ inForce: () => state })
  trigger.offer(LIVE, chunks(3))
  await trigger.close()
  assert.deepEqual(batches, [])
  assert.equal(trigger.counts.dropped.off, 3)
})

test('fresh verdicts and those in progress are left out', async () => {
  const made = rig()
  const [chunk] = chunks(1)
  const known = { contentHash: contentHash(chunk.content), verifier: 'z3/1+1', verifiedAtMs: NOW - 7 * DAY }
  assert.equal(made.trigger.offer(LIVE, [{ ...chunk, known }]), 0)
  assert.equal(made.trigger.offer(LIVE, [{ ...chunk, known: { ...known, verifiedAtMs: known.verifiedAtMs - 1 } }]), 1)
  assert.equal(made.trigger.offer(LIVE, [chunk]), 0)
  assert.equal(made.trigger.isPending(keyOf(chunk)), true)
  made.trigger.answered({
    chunk_key: keyOf(chunk), verified_at_ms: NOW, verifier: 'z3', verifier_version: '2', formaliser_version: '1'
  })
  assert.equal(made.trigger.isPending(keyOf(chunk)), false)
  made.now += 60_000
  assert.equal(made.trigger.offer(LIVE, [{ ...chunk, known }]), 1, 'another verifier judges now')
  made.now += 300_000
  assert.equal(made.trigger.isPending(keyOf(chunk)), false, 'lost')
  assert.deepEqual(made.trigger.counts.chunks, { queued: 2, sent: 0, fresh: 1, pending: 1, spared: 0, budget: 0 })
  await made.trigger.close()
})

test('times in seconds are told once', () => {
  const { trigger, said } = rig()
  const known = { contentHash: '', verifier: '', verifiedAtMs: NOW / 1000 }
  assert.equal(trigger.offer(LIVE, chunks(3, { known })), 0)
  assert.equal(trigger.counts.dropped.invalid, 3)
  assert.match(said.join('\n'), /write seconds times 1000/)
  assert.equal(said.length, 1)
})

test('a full queue drops and counts; budget and clear queries ask for fewer', () => {
  const { trigger } = rig({ capacity: 4 })
  assert.equal(trigger.offer(LIVE, chunks(10)), 4)
  assert.equal(trigger.counts.dropped.full, 6)
  assert.equal(rig({ share: () => 0.3 }).trigger.offer(LIVE, chunks(10)), 3)
  const clear = chunks(10).map((chunk, place) => ({ ...chunk, score: place ? 1 : 100 }))
  assert.equal(rig({ fewest: 2 }).trigger.offer(LIVE, clear), 2)
  assert.throws(() => rig({ capacity: 0 }), /capacity 0/)
})

const verdict = (verifiedAtMs, more = {}) => ({
  chunk_key: 'any', org_id: 'org', verified_at_ms: verifiedAtMs, verifier: 'z3', verifier_version: '1', formaliser_version: '1', ...more
})
const left = (share, untilMs, as = text => text) => (
  { 'veriramp-budget-left': as(String(share)), 'veriramp-budget-until': as(String(untilMs)) })

test('a budget that runs short asks for its share, for one tenant, as long as the news holds', async () => {
  const made = rig()
  made.trigger.answered(verdict(NOW), left(0.3, NOW + 600_000, Buffer.from))
  assert.equal(made.trigger.budgetShare, 0.3)
  assert.equal(made.trigger.offer(LIVE, chunks(10)), 3)
  assert.deepEqual([made.trigger.counts.chunks.budget, made.trigger.counts.chunks.spared], [7, 0])
  assert.equal(made.trigger.offer(LIVE, chunks(10, { orgId: 'other' })), 10)
  made.now += 600_000
  assert.equal(made.trigger.budgetShare, 1)
  assert.equal(made.trigger.offer(LIVE, chunks(10, { blockId: '1' })), 10)
  await made.trigger.close()
})

test('the share is one of the results without a fresh verdict', async () => {
  const { trigger } = rig()
  trigger.answered(verdict(NOW), left(0.5, NOW + 600_000))
  const found = chunks(10).map((chunk, place) => place >= 6 ? chunk : (
    { ...chunk, known: { contentHash: contentHash(chunk.content), verifier: 'z3/1+1', verifiedAtMs: NOW } }))
  assert.equal(trigger.offer(LIVE, found), 2)
  assert.equal(trigger.offer(LIVE, found), 0, 'the same two, which are in progress, and no others')
  assert.deepEqual(trigger.counts.chunks, { queued: 2, sent: 0, fresh: 12, pending: 2, spared: 0, budget: 4 })
  await trigger.close()
})

test('the last of several headers counts; news of a clock far ahead, of a failure and of no headers changes nothing', async () => {
  const { trigger } = rig()
  trigger.answered(verdict(NOW), left('0.5', NOW + 600_000, text => [Buffer.from('0'), Buffer.from(text)]))
  trigger.answered(verdict(NOW + 2 * DAY), left(0, NOW + 3 * DAY))
  trigger.answered(verdict(undefined), left(0, NOW + DAY))
  trigger.answered(verdict(NOW))
  trigger.answered(verdict(NOW), null)
  assert.equal(trigger.budgetShare, 0.5)
  trigger.answered(verdict(NOW + DAY / 2), left(0, NOW + DAY))
  trigger.answered(verdict(NOW), left(0.25, NOW + 600_000))
  assert.equal(trigger.budgetShare, 0.25, 'a clock that is set right again')
})

test('only so many tenants are remembered', () => {
  const shares = new BudgetShares(2)
  for (const tenant of ['a', 'b', 'a', 'c']) shares.heard(tenant, left(0.5, NOW + 1), NOW)
  assert.deepEqual([...'abc'].map(tenant => shares.of(tenant, NOW)), [0.5, 1, 0.5])
})

test('a failing transport loses its batch only', async () => {
  const made = rig({ batchSize: 5 })
  let failures = 1
  made.transport = async () => { if (failures-- > 0) throw new Error('the broker is away') }
  made.trigger.offer(LIVE, chunks(8))
  await made.trigger.close()
  assert.deepEqual([made.trigger.counts.dropped.failed, made.trigger.counts.chunks.sent], [5, 3])
  assert.match(made.said[0], /the broker is away/)
  assert.equal(made.trigger.isPending(keyOf(chunks(1)[0])), false)
})

test('a transport that hangs is given up, and the end is bounded', async () => {
  const made = rig({ sendMs: 5 })
  made.transport = () => new Promise(() => {})
  made.trigger.offer(LIVE, chunks(4))
  while (!made.trigger.counts.dropped.failed) await new Promise(resolve => setImmediate(resolve))
  const stuck = rig({ batchSize: 2 })
  stuck.transport = made.transport
  stuck.trigger.offer(LIVE, chunks(6))
  await stuck.trigger.close(5)
  assert.equal(stuck.trigger.counts.dropped.shutdown, 6)
  assert.equal(stuck.trigger.offer(LIVE, chunks(9).slice(6)), 0)
  assert.equal(stuck.trigger.counts.dropped.shutdown, 9)
})

test('an old verdict asks for a newer one, in whole milliseconds however the host keeps its time', async () => {
  const { trigger, sent } = rig()
  const at = NOW - 8 * DAY
  const times = [at, at + 0.75, new Date(at)]
  trigger.offer(LIVE, chunks(3).map((chunk, place) => (
    { ...chunk, known: { contentHash: contentHash(chunk.content), verifier: 'z3/1+1', verifiedAtMs: times[place] } })))
  await trigger.close()
  assert.deepEqual(sent().map(event => event.newer_than_ms), [at, at, at])
})

test('a bad chunk harms nobody', async () => {
  const { trigger, sent } = rig()
  const bad = ['', 'a \ud800 b', undefined, 5].map((content, place) => ({ ...chunks(1)[0], documentId: `bad-${place}`, content }))
  bad.push({ ...chunks(1)[0], orgId: 'or|g' })
  trigger.offer(LIVE, [...bad, ...chunks(1)])
  trigger.offer(LIVE, [{ ...chunks(1)[0], documentId: 'long', content: 'x'.repeat(100_001) }])
  trigger.offer(LIVE, null)
  await trigger.close()
  assert.equal(sent().length, 1)
  assert.deepEqual([trigger.counts.dropped.invalid, trigger.counts.dropped.large], [6, 1])
})

test('the decision from flag values, off in any doubt', () => {
  const value = { mode: 'Live', samplingRate: 1, topK: 5, revision: 3 }
  const settings = { sampleSalt: 'salt', revision: 3 }
  assert.deepEqual(decisionOf(value, settings, 'query'), { mode: 'Live', verify: true, topK: 5, revision: 3 })
  assert.equal(decisionOf({ ...value, samplingRate: 0 }, settings, 'query').verify, false)
  assert.equal(decisionOf(value, settings, undefined).verify, false)
  for (const [one, other] of [[value, { ...settings, revision: 2 }], [undefined, settings], [value, undefined],
    [{ ...value, mode: 'Wild' }, settings], [{ ...value, samplingRate: 2 }, settings]]) {
    assert.equal(decisionOf(one, other, 'query').mode, 'Off')
  }
})

test('kafkajs gets one batch with its topics', async () => {
  const sent = []
  const trigger = new VerificationTrigger(kafkajsTransport({ sendBatch: async batch => { sent.push(batch) } }), { clock: () => NOW })
  const old = { contentHash: contentHash('text'), verifier: 'z3', verifiedAtMs: NOW - 8 * DAY }
  trigger.offer(LIVE, chunks(4, { content: 'text', known: old }))
  await trigger.close()
  const [{ topicMessages, acks }] = sent
  assert.equal(acks, -1)
  assert.deepEqual(topicMessages.map(({ topic, messages }) => [topic, messages.length]),
    [['verify_chunks.interactive', 1], ['verify_chunks.backfill', 3]])
  assert.deepEqual(Object.keys(topicMessages[0].messages[0]), ['key', 'value', 'headers'])
})
