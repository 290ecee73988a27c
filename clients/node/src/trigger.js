// Ask for the verification of what a search just returned, without ever slowing or failing the search.
import { affordable, BudgetShares } from './budget.js'
import { chunkKey, contentHash } from './identity.js'
import { LARGEST_MESSAGE, messageOf } from './message.js'
import { Pending } from './pending.js'
import { howMany, isFresh, percentiles, unitProblem, verifierOf } from './selection.js'

const MAX_CONTENT = 100_000
const MAX_CHARACTERS = 16_000_000
const HASHED_IN_SEARCH = 20_000
const CONSIDERED = 200
const LONGEST_RETRY_MS = 30_000
const QUIET_MS = 60_000
const ENDED = new Error('the trigger was closed')

export class VerificationTrigger {
  #settings
  #queue = []
  #characters = 0
  #pending = new Pending()
  #budgets = new BudgetShares()
  #verifier = null
  #timer = null
  #sending = null
  #retryMs
  #resume = null
  #abandon = null
  #closed = false
  #complainedAtMs = -Infinity

  /** See index.d.ts for the settings. Throws a RangeError for a capacity or batch size below 1. */
  constructor (transport, settings = {}) {
    const defaults = {
      capacity: 1000, batchSize: 50, lingerMs: 20, sendMs: 10_000, retryMs: 1000, clock: Date.now, log: console.warn
    }
    this.#settings = { ...defaults, ...settings, transport }
    for (const name of ['capacity', 'batchSize']) {
      if (!(this.#settings[name] >= 1)) throw new RangeError(`${name} ${this.#settings[name]}: write at least 1`)
    }
    this.#retryMs = this.#settings.retryMs
    /** What became of searches and chunks so far, for your metrics. */
    this.counts = {
      queries: { sampled: 0, unsampled: 0, off: 0 },
      chunks: { queued: 0, sent: 0, fresh: 0, pending: 0, spared: 0, budget: 0 },
      dropped: { full: 0, large: 0, invalid: 0, failed: 0, off: 0, shutdown: 0 }
    }
  }

  /** How many chunks wait to be sent. */
  get waiting () {
    return this.#queue.length
  }

  /** The lowest share that the budget of a tenant leaves at the moment, 1 without news. */
  get budgetShare () {
    return this.#budgets.lowest(this.#settings.clock())
  }

  /** Queue the chunks of a search that need a verdict; returns how many. Never throws, never waits. */
  offer (decision, results, queryId = undefined, { traceparent } = {}) {
    try {
      const query = decision.mode === 'Off' ? 'off' : decision.verify && decision.topK > 0 ? 'sampled' : 'unsampled'
      this.counts.queries[query]++
      return query === 'sampled' ? this.#offer(decision, results.slice(0, CONSIDERED), queryId, traceparent) : 0
    } catch (error) {
      this.#refuse(error)
      return 0
    }
  }

  /**
   * Take in what came back: the parsed event of `verification_complete` or `verification_failed`. From the message's
   * `headers`, as kafkajs gives them, it learns what the tenant's budget has left; without them all is asked for.
   */
  answered (event, headers = {}) {
    const now = this.#settings.clock()
    this.#pending.answered(event.chunk_key, now)
    if (event.verified_at_ms === undefined || unitProblem({ verifiedAtMs: event.verified_at_ms }, now)) return
    this.#budgets.heard(event.org_id, headers, Math.min(now, event.verified_at_ms))
    if (!this.#verifier || event.verified_at_ms > this.#verifier.atMs) {
      this.#verifier = { atMs: event.verified_at_ms, name: verifierOf(event) }
    }
  }

  /** Whether a verification is in progress: asked for not long ago, and no answer yet. */
  isPending (key) {
    return this.#pending.isPending(key, this.#settings.clock())
  }

  /** Take nothing more and send what waits, for at most `flushMs`; resolves when done, never rejects. */
  async close (flushMs = 5000) {
    this.#closed = true
    this.#resume?.()
    this.#flush()
    const end = setTimeout(() => {
      this.#drop(this.#take(this.#queue.length), 'shutdown')
      this.#abandon?.(ENDED)
    }, flushMs)
    await this.#sending
    clearTimeout(end)
  }

  #offer (decision, results, queryId, traceparent) {
    const { rollout, fewest, share, clock, capacity } = this.#settings
    const scores = results.map(chunk => chunk.score)
    const room = Math.max(1e-6, Math.min(1, 2 * (1 - this.#queue.length / capacity)))
    const count = howMany(scores, decision.topK, { fewest, share: share ? Math.min(room, share()) : room })
    this.counts.chunks.spared += Math.max(0, Math.min(decision.topK, results.length) - count)
    const places = percentiles(scores)
    const shared = { atMs: clock(), queryId, traceparent, rollout, revision: decision.revision }
    let left = HASHED_IN_SEARCH
    const wanted = results.slice(0, count)
      .map((chunk, place) => ({ chunk, percentile: places[place], digest: '', key: '', ...shared }))
      .filter(ask => {
        const cost = ask.chunk.contentHash ? 0 : ask.chunk.content?.length ?? 0
        if (cost > left) return true
        left -= cost
        return this.#isWanted(ask)
      })
    const paid = affordable(wanted, tenant => this.#budgets.of(tenant, shared.atMs), queryId || String(shared.atMs))
    this.counts.chunks.budget += wanted.length - paid.length
    return paid.filter(ask => (!ask.key || this.#isDue(ask)) && this.#put(ask)).length
  }

  #put (ask) {
    const size = charactersOf(ask)
    if (this.#closed || this.#queue.length >= this.#settings.capacity || this.#characters + size > MAX_CHARACTERS) {
      this.#drop([ask], this.#closed ? 'shutdown' : 'full')
      return false
    }
    this.#queue.push(ask)
    this.#characters += size
    this.counts.chunks.queued++
    if (this.#queue.length >= this.#settings.batchSize) this.#flush()
    else this.#timer ??= setTimeout(() => this.#flush(), this.#settings.lingerMs)
    return true
  }

  #isWanted (ask) {
    try {
      return this.#identify(ask)
    } catch (error) {
      this.#refuse(error)
      return false
    }
  }

  #identify (ask) {
    const { chunk, atMs } = ask
    const problem = chunk.content ? unitProblem(chunk.known, atMs) : 'the content is empty'
    if (problem) throw new RangeError(`chunk ${chunk.blockId} of document ${chunk.documentId}: ${problem}`)
    if (chunk.content.length > MAX_CONTENT && [...chunk.content].length > MAX_CONTENT) {
      this.counts.dropped.large++
      return false
    }
    ask.digest = chunk.contentHash ?? contentHash(chunk.content)
    ask.key = chunkKey(chunk.orgId, chunk.documentId, chunk.blockId, ask.digest)
    if (isFresh(chunk.known, ask.digest, this.#verifier?.name, atMs)) {
      this.counts.chunks.fresh++
      return false
    }
    return true
  }

  #isDue (ask) {
    const due = this.#pending.ask(ask.key, ask.atMs)
    if (!due) this.counts.chunks.pending++
    return due
  }

  #flush () {
    clearTimeout(this.#timer)
    this.#timer = null
    // The search that offered goes on first; the work is done in a later turn of the loop.
    this.#sending ??= new Promise(resolve => setImmediate(resolve))
      .then(() => this.#sendAll())
      .finally(() => { this.#sending = null })
  }

  async #sendAll () {
    while (this.#queue.length) {
      const batch = this.#take(this.#settings.batchSize)
      if (!this.#isOn()) this.#drop(batch, 'off')
      else if (await this.#sent(batch)) this.#retryMs = this.#settings.retryMs
      else await this.#pause()
    }
  }

  async #sent (batch) {
    const asked = []
    const messages = []
    for (const ask of batch) {
      const message = this.#message(ask)
      if (message) { asked.push(ask); messages.push(message) }
    }
    try {
      if (messages.length) await this.#handOver(messages)
    } catch (error) {
      this.#drop(asked, error === ENDED ? 'shutdown' : 'failed')
      this.#settings.log(`verification trigger: ${asked.length} requests not sent: ${error}`)
      return false
    }
    this.counts.chunks.sent += messages.length
    return true
  }

  async #handOver (messages) {
    let timer
    try {
      await new Promise((resolve, reject) => {
        this.#abandon = reject
        const late = new Error(`no answer within ${this.#settings.sendMs} ms`)
        timer = setTimeout(reject, this.#settings.sendMs, late)
        this.#settings.transport(messages).then(resolve, reject)
      })
    } finally {
      clearTimeout(timer)
      this.#abandon = null
    }
  }

  #message (ask) {
    if (!ask.key && !(this.#isWanted(ask) && this.#isDue(ask))) return null
    let message
    try {
      message = messageOf(ask)
    } catch (error) {
      this.#pending.forget(ask.key)
      this.#refuse(error)
      return null
    }
    if (message.value.length <= LARGEST_MESSAGE) return message
    this.#drop([ask], 'large')
    return null
  }

  #isOn () {
    if (!this.#settings.inForce) return true
    try {
      const { mode, samplingRate } = this.#settings.inForce()
      return mode !== 'Off' && samplingRate > 0
    } catch (error) {
      this.#complain(`what is in force cannot be asked: ${error}`)
      return false
    }
  }

  async #pause () {
    if (this.#closed) return
    const wait = this.#retryMs
    this.#retryMs = Math.min(2 * wait, LONGEST_RETRY_MS)
    await new Promise(resolve => {
      const timer = setTimeout(resolve, wait)
      this.#resume = () => { clearTimeout(timer); resolve() }
    })
    this.#resume = null
  }

  #take (most) {
    const taken = this.#queue.splice(0, most)
    for (const ask of taken) this.#characters -= charactersOf(ask)
    return taken
  }

  #drop (asks, reason) {
    for (const ask of asks) this.#pending.forget(ask.key)
    this.counts.dropped[reason] += asks.length
  }

  #refuse (error) {
    this.counts.dropped.invalid++
    this.#complain(`not asked for: ${error}`)
  }

  #complain (sentence) {
    const now = this.#settings.clock()
    const quiet = now - this.#complainedAtMs
    if (quiet >= 0 && quiet < QUIET_MS) return
    this.#complainedAtMs = now
    this.#settings.log(`verification trigger: ${sentence} (told once a minute)`)
  }
}

/** A transport over a connected kafkajs producer. */
export function kafkajsTransport (producer) {
  return async messages => {
    const byTopic = new Map()
    for (const { topic, ...message } of messages) {
      if (!byTopic.has(topic)) byTopic.set(topic, [])
      byTopic.get(topic).push(message)
    }
    const topicMessages = [...byTopic].map(([topic, some]) => ({ topic, messages: some }))
    await producer.sendBatch({ topicMessages, acks: -1 })
  }
}

function charactersOf ({ chunk }) {
  return (chunk.content?.length ?? 0) + (chunk.premises ?? []).reduce((sum, text) => sum + text.length, 0)
}
