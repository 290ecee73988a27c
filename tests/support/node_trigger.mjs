// A Node process with the reference client: reads one line of JSON {decision, chunks, queryId} from stdin, offers it, and
// writes each message as one line of JSON; its transport is this program's standard output.
import { readFileSync } from 'node:fs'
import { VerificationTrigger } from '../../clients/node/src/index.js'

const { decision, chunks, queryId } = JSON.parse(readFileSync(0, 'utf8'))
const lines = []
const trigger = new VerificationTrigger(async messages => {
  for (const { topic, key, value, headers } of messages) {
    lines.push(JSON.stringify({ topic, key, value: value.toString('utf8'), headers }) + '\n')
  }
}, { rollout: 'search/demo', batchSize: 3 })
trigger.offer(decision, chunks, queryId)
await trigger.close()
process.stdout.write(lines.join(''))
