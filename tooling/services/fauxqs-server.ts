// Started by fauxqs.ts: prints where it listens and which version it is, and ends with its standard input.
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { buildApp } from 'fauxqs'

const manifest = fileURLToPath(new URL('../package.json', import.meta.resolve('fauxqs')))
const { version } = createRequire(import.meta.url)(manifest) as { version: string }
// startFauxqs() would listen on every interface, and let anyone in.
const endpoint = await buildApp({ logger: false }).listen({ host: '127.0.0.1', port: 0 })
console.log(JSON.stringify({ endpoint, version }))
process.stdin.once('end', () => process.exit()).resume()
