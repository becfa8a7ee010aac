import type { GetResult, LogEvent, Stat } from '@stored/core/backend'
import { offerService, type Service } from '@stored/services'
import { afterAll, onTestFinished } from 'vitest'
import { S3Backend, type S3BackendOptions } from '../src/index.ts'
import { Gate } from './gate.ts'
import { Place } from './place.ts'

export const { signal } = new AbortController()
export const PART_BYTES = 5 << 20

/** Ceph 20.2, for one file of tests; or why there is none. */
export const service = await offerService('ceph-rgw', { CEPH_SUITE: 'forky' })
if (typeof service !== 'string') afterAll(() => service[Symbol.asyncDispose]())
const place = typeof service === 'string' ? null : await Place.open(service)

export function thePlace(): Place {
  if (place === null) throw new Error('these tests are to be skipped')
  return place
}

export function theService(): Service {
  if (typeof service === 'string') throw new Error(service)
  return service
}

export interface Opened {
  readonly backend: S3Backend
  /** Between the backend and the server. */
  readonly gate: Gate
  readonly logged: LogEvent[]
}

/** A backend below a prefix of its own. */
export async function openBackend(options: Partial<S3BackendOptions> = {}): Promise<Opened> {
  const { bucket, endpoint, identity } = thePlace()
  const gate = await Gate.start(endpoint)
  onTestFinished(() => gate[Symbol.asyncDispose]())
  const mine = { bucket, endpoint: gate.endpoint, flavor: 'ceph', credentials: identity, partSize: PART_BYTES } as const
  const backend = new S3Backend({ ...mine, prefix: `${crypto.randomUUID()}/`, ...options })
  onTestFinished(() => backend.close())
  const logged: LogEvent[] = []
  await backend.open({ log: (event) => logged.push(event) })
  gate.passed.length = 0
  return { backend, gate, logged }
}

/** So many bytes, no two parts of which are equal. */
export function bytesOf(size: number): Buffer {
  const bytes = Buffer.alloc(size, 'StoreD')
  for (let at = 0; at + 4 <= size; at += 4096) bytes.writeUInt32LE(at, at)
  return bytes
}

export async function* chunksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 64 << 10) yield bytes.subarray(at, at + (64 << 10))
}

export function put(backend: S3Backend, key: string, bytes: Uint8Array, aborts = signal): Promise<Stat> {
  return backend.put(key, chunksOf(bytes), { signal: aborts, size: bytes.length })
}

export async function read({ body }: GetResult): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(body))
}

export async function keysOf(backend: S3Backend): Promise<string[]> {
  return Array.fromAsync(backend.list({ prefix: '', signal }), ({ key }) => key)
}
