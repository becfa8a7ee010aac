import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

/** An emulator of S3 that lets anyone in and keeps everything in memory. Gone with this process, however that ends. */
export interface Fauxqs extends AsyncDisposable {
  readonly endpoint: string
  readonly version: string
}

/**
 * Starts fauxqs on 127.0.0.1, in a process of its own. It comes from npm, so it runs wherever Node.js does: for machines where
 * `ceph-rgw` cannot be had. It is kinder than S3, so what passes on it is not proved.
 */
export async function startFauxqs(): Promise<Fauxqs> {
  const script = fileURLToPath(new URL('fauxqs-server.ts', import.meta.url))
  // Its standard input is the line of life: it ends with this process.
  const child = spawn(process.execPath, [script], { stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = once(child, 'exit')
  const lines = createInterface({ input: child.stdout })
  const [line] = await Promise.race([once(lines, 'line'), ended.then(([code]) => failed(code))])
  child.unref()
  for (const stream of [child.stdin, child.stdout]) (stream as { unref?(): void }).unref?.()
  return {
    ...(JSON.parse(line) as { endpoint: string; version: string }),
    async [Symbol.asyncDispose]() {
      child.ref()
      child.stdin.end()
      await ended
    },
  }
}

function failed(code: number | null): never {
  throw new Error(`fauxqs ended with ${code} before it was ready`)
}
