import { join } from 'node:path'
import type { LogEvent } from '@stored/core/backend'
import { testDirectory } from '@stored/testing/directory'
import { onTestFinished } from 'vitest'
import { FsBackend, type FsBackendOptions } from '../src/index.ts'

export const { signal } = new AbortController()

export interface Opened {
  readonly backend: FsBackend
  readonly root: string
  /** Next to the root. */
  readonly place: string
  readonly logged: LogEvent[]
}

export async function openBackend(options: Partial<FsBackendOptions> = {}): Promise<Opened> {
  const place = await testDirectory()
  const root = join(place, 'root')
  const backend = new FsBackend({ root, ...options })
  const logged: LogEvent[] = []
  await backend.open({ log: (event) => logged.push(event) })
  onTestFinished(() => backend.close())
  return { backend, root, place, logged }
}

export async function* bodyOf(...chunks: (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield Buffer.from(chunk)
}

export async function readBlob(backend: FsBackend, key: string): Promise<string> {
  const { body } = await backend.get(key, { signal })
  return Buffer.concat(await Array.fromAsync(body)).toString()
}

export async function keysOf(backend: FsBackend, prefix = ''): Promise<string[]> {
  return Array.fromAsync(backend.list({ prefix, signal }), ({ key }) => key)
}

/** A body that pauses after its first chunk until it is released. */
export function pausedBody(first: string, rest: string) {
  const reached = Promise.withResolvers<void>()
  const released = Promise.withResolvers<void>()
  async function* chunks(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(first)
    reached.resolve()
    await released.promise
    yield Buffer.from(rest)
  }
  return { body: chunks(), reached: reached.promise, release: () => released.resolve() }
}
