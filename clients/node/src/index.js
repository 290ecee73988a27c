export { bucket, chunkKey, contentHash, decisionOf, sampled } from './identity.js'
export { messageOf } from './message.js'
export { howMany, isFresh, laneOf, percentiles, unitProblem, verifierOf } from './selection.js'
export { kafkajsTransport, VerificationTrigger } from './trigger.js'
