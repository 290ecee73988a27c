// What the verifier's budget has left, told by its answers, and what a search may ask for then. Times in milliseconds; the
// reasons stand in veriramp_sdk/budget.py.
import { BUCKETS, bucket, roundHalfEven } from './identity.js'
import { LATER_BELOW } from './selection.js'

const LEFT = 'veriramp-budget-left'
const UNTIL = 'veriramp-budget-until'
const NEWS_MS = 600_000
const LONGEST_MS = 32 * 86_400_000
const ASKED_ANEW_MS = 3_600_000
const SALT = 'budget'
const HIGH_ABOVE = 0.9

/** The shares of the tenants, bounded. */
export class BudgetShares {
  #news = new Map()
  #remembered

  constructor (remembered = 1000) {
    this.#remembered = remembered
  }

  /** Take in the headers of an answer made at `toldAtMs`; older news than known, and none, change nothing. */
  heard (tenant, headers, toldAtMs) {
    const said = textOf(headers?.[LEFT])
    const left = /^[01](\.[0-9]{1,17})?$/.test(said) ? Number(said) : Infinity
    if (left > 1) return
    const end = textOf(headers[UNTIL])
    const untilMs = /^[0-9]{1,15}$/.test(end) ? Math.min(Number(end), toldAtMs + LONGEST_MS) : toldAtMs + NEWS_MS
    const known = this.#news.get(tenant)
    this.#news.delete(tenant)
    this.#news.set(tenant, known?.toldAtMs > toldAtMs ? known : { toldAtMs, left, untilMs, askedAtMs: toldAtMs })
    if (this.#news.size > this.#remembered) this.#news.delete(this.#news.keys().next().value)
  }

  /** The share of one tenant: 1 without news that still holds, and once an hour where nothing is left. */
  of (tenant, nowMs) {
    const news = this.#news.get(tenant)
    const share = shareOf(news, nowMs)
    if (share > 0 || nowMs - news.askedAtMs < ASKED_ANEW_MS) return share
    news.askedAtMs = nowMs
    return 1
  }

  /** The lowest share in force, 1 when there is none. */
  lowest (nowMs) {
    return [...this.#news.values()].reduce((lowest, news) => Math.min(lowest, shareOf(news, nowMs)), 1)
  }
}

/**
 * Those of the wanted requests, `{chunk, digest, percentile}`, that the shares of their tenants leave, in their order. What
 * matters less goes first; a part of one chunk is one chunk for that part of the queries.
 */
export function affordable (wanted, shareOf, query) {
  const theirs = new Map()
  for (const ask of wanted) {
    const { orgId } = ask.chunk
    if (!theirs.has(orgId)) theirs.set(orgId, [])
    theirs.get(orgId).push(ask)
  }
  const kept = new Set()
  for (const [tenant, asks] of theirs) {
    const share = shareOf(tenant)
    let most = asks.length
    if (share < 1) {
      asks.sort((one, other) => urgency(one) - urgency(other))
      const exact = asks.length * Math.max(0, share)
      most = Math.floor(exact)
      if (bucket(SALT, query) < roundHalfEven((exact - most) * BUCKETS)) most++
    }
    for (const ask of asks.slice(0, most)) kept.add(ask)
  }
  return wanted.filter(ask => kept.has(ask))
}

function shareOf (news, nowMs) {
  return news && nowMs < news.untilMs ? news.left : 1
}

// A header is a Buffer or a text, or a list of them when it was sent several times: then the last one counts.
function textOf (header) {
  return String((Array.isArray(header) ? header.at(-1) : header) ?? '')
}

function urgency ({ chunk, digest, percentile }) {
  const now = digest || chunk.contentHash
  if (!chunk.known || (now != null && now !== chunk.known.contentHash) || percentile > HIGH_ABOVE) return 0
  return percentile < LATER_BELOW ? 2 : 1
}
