import type { LogEvent } from '@stored/core/backend'
import { offerService, type Service } from '@stored/services'
import { afterAll, onTestFinished } from 'vitest'
import { S3Backend, type S3BackendOptions } from '../src/index.ts'
import { PART_BYTES, signal } from './bytes.ts'
import { Gate } from './gate.ts'
import { Place } from './place.ts'

/** Ceph 20.2 for one test file, or the reason why there is none. */
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

/** A backend below its own prefix. */
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

export async function keysOf(backend: S3Backend): Promise<string[]> {
  return Array.fromAsync(backend.list({ prefix: '', signal }), ({ key }) => key)
}
