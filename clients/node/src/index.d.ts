/** The last verdict on a chunk; the time is in milliseconds since the epoch. */
export interface Known {
  contentHash: string
  /** `verifierOf(event)` of the event that told the verdict */
  verifier: string
  verifiedAtMs: number
}

/** A chunk that a search returned. */
export interface Chunk {
  orgId: string
  documentId: string
  blockId: string
  content: string
  /** taken for true by the verifier */
  premises?: readonly string[]
  /** the search's score, any unit, higher is better; without it only the place counts */
  score?: number | null
  /** sha256 of the content in hexadecimal, where the index keeps it: that spares hashing it */
  contentHash?: string
  known?: Known | null
}

export type Mode = 'Off' | 'Shadow' | 'Live'

/** What a search has to do. */
export interface Decision {
  mode: Mode
  verify: boolean
  topK: number
  revision?: number
}

/** One message for the broker: JSON, its key and its headers. */
export interface Message {
  topic: string
  key: string
  value: Buffer
  headers: Record<string, string>
}

/** Sends a batch; resolves when the broker has all of it. */
export type Transport = (messages: Message[]) => Promise<unknown>

export interface Settings {
  /** the rollout, "namespace/name" */
  rollout?: string
  /** what is in force now: when it is off, what waits is dropped */
  inForce?: () => { mode: Mode, samplingRate: number }
  /** lets clear queries ask for fewer than topK, but for that many */
  fewest?: number
  /** what a budget of yours leaves at the moment, 0..1 */
  share?: () => number
  /** chunks that may wait (1000) */
  capacity?: number
  /** chunks that are sent together at most (50) */
  batchSize?: number
  /** how long a batch may wait for more (20) */
  lingerMs?: number
  /** how long one batch may take (10000) */
  sendMs?: number
  /** the first wait after a failure (1000) */
  retryMs?: number
  clock?: () => number
  log?: (sentence: string) => void
}

export interface Counts {
  queries: Record<'sampled' | 'unsampled' | 'off', number>
  chunks: Record<'queued' | 'sent' | 'fresh' | 'pending' | 'spared' | 'budget', number>
  dropped: Record<'full' | 'large' | 'invalid' | 'failed' | 'off' | 'shutdown', number>
}

/** The part of the events `verification_complete` and `verification_failed` that the trigger reads. */
export interface Answer {
  chunk_key: string
  org_id: string
  verified_at_ms?: number
  verifier?: string
  verifier_version?: string
  formaliser_version?: string
}

/** The headers of a message, as kafkajs gives them. */
export type Headers = Record<string, Buffer | string | Array<Buffer | string> | undefined>

export class VerificationTrigger {
  constructor (transport: Transport, settings?: Settings)
  readonly counts: Counts
  readonly waiting: number
  /** the lowest share (0..1) that the budget of a tenant leaves at the moment, 1 without news */
  readonly budgetShare: number
  offer (decision: Decision, results: readonly Chunk[], queryId?: string, more?: { traceparent?: string }): number
  /** from the headers it learns what the tenant's budget has left; without them all is asked for */
  answered (event: Answer, headers?: Headers): void
  isPending (chunkKey: string): boolean
  close (flushMs?: number): Promise<void>
}

/** What of a kafkajs producer is used. */
export interface KafkajsProducer {
  sendBatch (batch: {
    topicMessages: Array<{ topic: string, messages: Array<Omit<Message, 'topic'>> }>
    acks?: number
  }): Promise<unknown>
}

export function kafkajsTransport (producer: KafkajsProducer): Transport

export function contentHash (content: string): string
export function chunkKey (orgId: string, documentId: string, blockId: string, digest: string): string
export function bucket (salt: string, id: string): number
export function sampled (sampleSalt: string, queryId: string, rate: number): boolean
export function decisionOf (value: unknown, settings: unknown, queryId: string | undefined): Decision

export function howMany (
  scores: ReadonlyArray<number | null | undefined>, ceiling: number, more?: { fewest?: number | null, share?: number }
): number
export function percentiles (scores: ReadonlyArray<number | null | undefined>): number[]
export function laneOf (percentile: number, verified: boolean): string
export function isFresh (known: Known | null | undefined, digest: string, verifier: string | null | undefined, nowMs: number): boolean
export function unitProblem (known: Known | null | undefined, nowMs: number): string | null
export function verifierOf (event: Answer): string

export interface Ask {
  chunk: Chunk
  digest: string
  key: string
  percentile: number
  atMs: number
  queryId?: string | null
  traceparent?: string | null
  rollout?: string | null
  revision?: number | null
}
export function messageOf (ask: Ask): Message

/** What the verifier's budget has left, by tenant; a trigger has its own. */
export class BudgetShares {
  constructor (remembered?: number)
  heard (tenant: string, headers: Headers | null | undefined, toldAtMs: number): void
  of (tenant: string, nowMs: number): number
  lowest (nowMs: number): number
}
export function affordable<T extends Pick<Ask, 'chunk' | 'percentile'> & { digest?: string }> (
  wanted: readonly T[], shareOf: (tenant: string) => number, query: string
): T[]
