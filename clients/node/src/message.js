// The message that asks for one verification: the same bytes as the Python SDK writes.
import { laneOf } from './selection.js'

const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/
export const LARGEST_MESSAGE = 900_000

/**
 * Make {topic, key, value, headers}; `value` is a Buffer of JSON. Throws for texts that are no Unicode.
 * `ask`: {chunk, digest, key, percentile, atMs, queryId, traceparent, rollout, revision}.
 */
export function messageOf (ask) {
  const { chunk, digest } = ask
  const verified = chunk.known?.contentHash === digest
  const topic = laneOf(ask.percentile, verified)
  const event = {
    schema_version: '1.1',
    chunk_key: ask.key,
    org_id: chunk.orgId,
    document_id: chunk.documentId,
    block_id: chunk.blockId,
    content_hash: digest,
    query_id: ask.queryId ?? undefined,
    content: chunk.content,
    premises: chunk.premises ?? [],
    lane: topic.slice(topic.lastIndexOf('.') + 1),
    enqueued_at_ms: ask.atMs,
    newer_than_ms: verified ? Math.floor(Number(chunk.known.verifiedAtMs)) : undefined,
    rollout: ask.rollout ?? undefined,
    revision: ask.revision ?? undefined
  }
  const texts = [chunk.orgId, chunk.documentId, chunk.blockId, chunk.content, ask.queryId ?? '', ...event.premises]
  if (!texts.every(text => typeof text === 'string' && text.isWellFormed())) {
    throw new TypeError('orgId, documentId, blockId, content, premises and queryId must be texts in Unicode')
  }
  const headers = TRACEPARENT.test(ask.traceparent ?? '') ? { traceparent: ask.traceparent } : {}
  return { topic, key: ask.key, value: Buffer.from(JSON.stringify(event)), headers }
}
