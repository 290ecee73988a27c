// A Node process with the stock OpenFeature in-process provider: one JSON line for each document, once it is evaluated.
// node client_program.mjs HOST PORT NAMESPACE/ROLLOUT KEY; packages are found from the current folder.
import { createRequire } from 'node:module'
import { join } from 'node:path'

const load = createRequire(join(process.cwd(), 'package.json'))
const { OpenFeature, ProviderEvents } = load('@openfeature/server-sdk')
const { FlagdProvider } = load('@openfeature/flagd-provider')
const [host, port, selector, key] = process.argv.slice(2)
const client = OpenFeature.getClient()

async function tell () {
  const value = await client.getObjectValue(key, {}, { bucket: 0 })
  const at = (performance.timeOrigin + performance.now()) / 1000
  process.stdout.write(JSON.stringify({ revision: value.revision ?? 0, mode: value.mode ?? 'Off', at }) + '\n')
}

client.addHandler(ProviderEvents.Ready, tell)
client.addHandler(ProviderEvents.ConfigurationChanged, tell)
// A first connection that takes longer than the deadline leaves the provider without change events for good.
OpenFeature.setProvider(new FlagdProvider({ host, port: Number(port), resolverType: 'in-process', selector, deadlineMs: 30000 }))
process.stdin.on('end', () => process.exit(0)).resume()
