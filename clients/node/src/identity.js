// Who a chunk and a query are, the same in every language: hashes, keys, buckets.
import { createHash } from 'node:crypto'

export const BUCKETS = 10_000
const sha256 = text => createHash('sha256').update(text, 'utf8')

/** The sha256 of the UTF-8 text as 64 hexadecimal digits. Throws for a text that is no Unicode. */
export function contentHash (content) {
  if (!content.isWellFormed()) throw new TypeError('the content is no Unicode: it has a lone surrogate')
  return sha256(content).digest('hex')
}

/**
 * The identity of a chunk: sha256 of `org|document|block|contentHash`; also the key of its messages. Throws for an
 * organisation or a document with a `|`: another chunk could have the same key.
 */
export function chunkKey (orgId, documentId, blockId, digest) {
  for (const part of [orgId, documentId]) {
    if (String(part).includes('|')) {
      throw new TypeError(`'${String(part).slice(0, 100)}' has a '|', which separates the parts of keys; leave it out`)
    }
  }
  return sha256([orgId, documentId, blockId, digest].join('|')).digest('hex')
}

/** The bucket 0..9999 of an id under a salt. */
export function bucket (salt, id) {
  const head = sha256(`${salt}:${id}`).digest().readUInt32BE(0)
  return Math.floor((head * BUCKETS) / 2 ** 32)
}

/** Whether a query is in the sample; `rate` is the share 0..1 of queries. */
export function sampled (sampleSalt, queryId, rate) {
  return bucket(sampleSalt, queryId) < roundHalfEven(rate * BUCKETS)
}

/**
 * What a search has to do, from the value of the rollout's flag and that of `<key>-settings`; off in any doubt.
 */
export function decisionOf (value, settings, queryId) {
  const { mode = 'Off', samplingRate = 0, topK = 0, revision = 0 } = value ?? {}
  const known = ['Shadow', 'Live'].includes(mode) && settings?.revision === revision && Boolean(settings.sampleSalt)
  if (!known || !(samplingRate >= 0 && samplingRate <= 1)) return { mode: 'Off', verify: false, topK: 0, revision }
  const verify = samplingRate > 0 && Boolean(queryId) && sampled(settings.sampleSalt, queryId, samplingRate)
  return { mode, verify, topK, revision }
}

/** Python's round: a half goes to the even neighbour. */
export function roundHalfEven (number) {
  const low = Math.floor(number)
  if (number - low !== 0.5) return Math.round(number)
  return low % 2 === 0 ? low : low + 1
}
