// Which chunks of a search are worth a verification, and how urgently. Pure; the reasons stand in veriramp_sdk/selection.py.

export const FRESH_MS = 7 * 86_400_000
export const INTERACTIVE = 'verify_chunks.interactive'
export const BACKFILL = 'verify_chunks.backfill'
export const LATER_BELOW = 0.7
const ROUNDING = 1e-9
const EARLIEST_MS = 100_000_000_000
const AHEAD_MS = 86_400_000

/** How many of the results, best first, to ask for: at most `ceiling`; with `fewest` fewer when the query is clear. */
export function howMany (scores, ceiling, { fewest, share = 1 } = {}) {
  let count = Math.max(0, Math.min(ceiling, scores.length))
  if (fewest != null) count = Math.min(count, Math.max(fewest, Math.ceil(competing(scores) - ROUNDING)))
  const allowed = share > 0 ? Math.min(1, share) : 0
  return Math.max(0, Math.ceil(count * allowed - ROUNDING))
}

/** Where each result (best first) stands: 1 the best to 0 the last, equal neighbours the same. */
export function percentiles (scores) {
  const values = scores.some(score => score == null) ? scores.map((_, place) => -place) : scores
  const last = values.length - 1
  const found = []
  for (let start = 0, end; start < values.length; start = end + 1) {
    for (end = start; end < last && values[end + 1] === values[start];) end++
    const value = last ? 1 - (start + end) / 2 / last : 1
    for (let place = start; place <= end; place++) found.push(value)
  }
  return found
}

/** The topic to ask on; `verified`: this very content has a verdict already, if an old one. */
export function laneOf (percentile, verified) {
  return verified && percentile < LATER_BELOW ? BACKFILL : INTERACTIVE
}

/** Whether a verdict still stands: same content, same verifier (null: any), at most seven days old. */
export function isFresh (known, digest, verifier, nowMs) {
  if (!known || known.contentHash !== digest || (verifier != null && verifier !== known.verifier)) return false
  return nowMs - known.verifiedAtMs <= FRESH_MS
}

/** What is wrong with `verifiedAtMs` when it cannot be milliseconds since the epoch, else null. */
export function unitProblem (known, nowMs) {
  const time = known?.verifiedAtMs
  if (!known || (time >= EARLIEST_MS && time <= nowMs + AHEAD_MS)) return null
  return `verifiedAtMs ${time} is no time in milliseconds since the epoch (now is ${nowMs}); write seconds times 1000`
}

/** Who judged, from the event `verification_complete`. */
export function verifierOf (event) {
  return `${event.verifier}/${event.verifier_version}+${event.formaliser_version}`
}

function competing (scores) {
  const halves = scores.map(score => (score == null ? 0 : score / 2))
  if (!halves.length || scores.some(score => score == null || !Number.isFinite(score))) return scores.length
  const lowest = halves.reduce((a, b) => Math.min(a, b))
  const span = halves.reduce((a, b) => Math.max(a, b)) - lowest
  if (span <= 0) return scores.length
  let total = 0
  let squares = 0
  for (const half of halves) {
    const above = (half - lowest) / span
    total += above
    squares += above * above
  }
  return (total * total) / squares
}
