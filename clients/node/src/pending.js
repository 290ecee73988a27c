// Which verifications are in progress: bounded in time and number. Times in milliseconds.

export const PENDING_MS = 300_000
export const REPEAT_MS = 60_000

export class Pending {
  #asks = new Map()
  #remembered

  constructor (remembered = 10_000) {
    this.#remembered = remembered
  }

  /** Note that a chunk is asked for now; false when that is not due. */
  ask (key, nowMs) {
    if (rests(this.#asks.get(key), nowMs)) return false
    this.#asks.delete(key)
    this.#asks.set(key, { atMs: nowMs, answered: false })
    if (this.#asks.size > this.#remembered) this.#asks.delete(this.#asks.keys().next().value)
    return true
  }

  answered (key, nowMs) {
    if (this.#asks.has(key)) this.#asks.set(key, { atMs: nowMs, answered: true })
  }

  forget (key) {
    this.#asks.delete(key)
  }

  isPending (key, nowMs) {
    const known = this.#asks.get(key)
    return rests(known, nowMs) && !known.answered
  }
}

function rests (known, nowMs) {
  if (!known) return false
  const age = nowMs - known.atMs
  return age >= 0 && age < (known.answered ? REPEAT_MS : PENDING_MS)
}
