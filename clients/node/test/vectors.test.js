// The golden values that the Python SDK wrote: the same in Node.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import * as trigger from '../src/index.js'

const data = name => JSON.parse(readFileSync(new URL(`../../../tests/data/${name}.json`, import.meta.url), 'utf8'))
const vectors = data('trigger')

const checks = {
  keys: one => {
    assert.equal(trigger.contentHash(one.content), one.contentHash)
    assert.equal(trigger.chunkKey(one.orgId, one.documentId, one.blockId, one.contentHash), one.chunkKey)
  },
  sampled: one => assert.equal(trigger.sampled(one.salt, one.queryId, one.rate), one.sampled),
  howMany: one => assert.equal(trigger.howMany(one.scores, one.ceiling, one), one.count),
  percentiles: one => assert.deepEqual(trigger.percentiles(one.scores).map(value => value + 0), one.percentiles),
  lanes: one => assert.equal(trigger.laneOf(one.percentile, one.verified), one.topic),
  fresh: one => assert.equal(trigger.isFresh(one.known, one.contentHash, one.verifier, one.nowMs), one.fresh),
  units: one => assert.equal(trigger.unitProblem(one, one.nowMs) !== null, one.wrong),
  messages: one => {
    const digest = trigger.contentHash(one.chunk.content)
    const key = trigger.chunkKey(one.chunk.orgId, one.chunk.documentId, one.chunk.blockId, digest)
    const made = trigger.messageOf({ ...one, digest, key })
    assert.deepEqual({ ...made, value: made.value.toString('utf8') }, {
      topic: one.topic, key: one.key, value: one.value, headers: one.headers
    })
  },
  budgets: one => {
    const shares = new trigger.BudgetShares()
    for (const { headers, toldAtMs, nowMs, ...expected } of one.steps) {
      if (headers) shares.heard('org', headers, toldAtMs)
      else {
        const [share, other, lowest] = [shares.of('org', nowMs), shares.of('other', nowMs), shares.lowest(nowMs)]
        assert.deepEqual({ share, other, lowest }, expected)
      }
    }
  },
  affordable: one => {
    const kept = trigger.affordable(one.wanted, tenant => one.shares[tenant], one.query)
    assert.deepEqual(kept.map(ask => one.wanted.indexOf(ask)), one.kept)
  }
}

test('every group of vectors has a check', () => assert.deepEqual(Object.keys(vectors), Object.keys(checks)))

for (const [name, check] of Object.entries(checks)) {
  test(`vectors: ${name}`, () => {
    assert.ok(vectors[name].length >= 5)
    for (const one of vectors[name]) check(one)
  })
}

test('vectors: buckets', () => {
  for (const { salt, id, bucket } of data('buckets').vectors) assert.equal(trigger.bucket(salt, id), bucket)
})

test('index.d.ts names what index.js exports', () => {
  const types = readFileSync(new URL('../src/index.d.ts', import.meta.url), 'utf8')
  const named = [...types.matchAll(/^export (?:function|class) (\w+)/gm)].map(match => match[1])
  assert.deepEqual(named.sort(), Object.keys(trigger).sort())
})
