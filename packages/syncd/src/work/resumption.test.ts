import { createHash } from 'node:crypto'
import { type BlobId, type Claimed, guardBackend, type Index, type Location, type Staging } from '@stored/core'
import {
  type Capabilities,
  MemoryBackend,
  MemoryPlace,
  type PutOptions,
  type Stat,
  StorageError,
} from '@stored/core/backend'
import { MemoryLedger } from '@stored/ledger'
import { beforeEach, describe, expect, test } from 'vitest'
import { JobQueue } from '../queue/job-queue.ts'
import { runJob } from './run-job.ts'
import { type Services, Targets } from './services.ts'

const CHUNKS = ['one ', 'two ', 'three '].map((text) => Buffer.from(text))
const BYTES = Buffer.concat(CHUNKS)
const ID: BlobId = `sha256:${createHash('sha256').update(BYTES).digest('hex')}`
const AT = { backend: 'far', key: 'k' }
const LEASE = { max: 1, leaseMs: 60_000 }
const { signal } = new AbortController()

/** For each put: the checkpoint it was given, and how many bytes of its body had not arrived before. */
interface Put {
  readonly checkpoint: string | undefined
  fresh: number
}

/** A medium that records its puts, and whose connection may break after the second chunk. */
class BreakingBackend extends MemoryBackend {
  readonly puts: Put[]
  readonly #breaks: boolean

  constructor(place: MemoryPlace, puts: Put[], breaks: boolean) {
    super({ place })
    this.puts = puts
    this.#breaks = breaks
  }

  override put(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Stat> {
    const arrived = this.place.arrived.get(options.checkpoint ?? '')?.chunks.length ?? 0
    const put = { checkpoint: options.checkpoint, fresh: 0 }
    this.puts.push(put)
    return super.put(key, this.#carried(body, put, arrived), options)
  }

  async *#carried(body: AsyncIterable<Uint8Array>, put: Put, arrived: number): AsyncGenerator<Uint8Array> {
    let index = 0
    for await (const chunk of body) {
      if (this.#breaks && index === 2) throw new StorageError('UNAVAILABLE', { op: 'put' })
      if (index++ >= arrived) put.fresh += chunk.byteLength
      yield chunk
    }
  }
}

/** The same, without resuming. */
class ForgetfulBackend extends BreakingBackend {
  override readonly capabilities = { ...new MemoryBackend().capabilities, resume: false } as Capabilities as never
}

let ledger: MemoryLedger
let queue: JobQueue
let place: MemoryPlace
let puts: Put[]
/** The staged bytes, in chunks. */
let staged: readonly Uint8Array[]

beforeEach(async () => {
  ledger = new MemoryLedger()
  queue = new JobQueue(ledger)
  place = new MemoryPlace()
  puts = []
  staged = CHUNKS
  await ledger.transact((tx) => queue.enqueue(tx, { ...AT, op: 'put', id: ID, size: BYTES.length }))
})

async function claim(): Promise<Claimed> {
  const [job] = await queue.claim('far', LEASE)
  if (!job) throw new Error('nothing waits')
  return job
}

/** A try of a job. */
async function run(job: Claimed, { breaks = false, Backend = BreakingBackend } = {}): Promise<void> {
  await using backend = guardBackend(new Backend(place, puts, breaks), { name: 'far' })
  const location = { ...AT, id: ID, state: 'pending', rev: '1' } as unknown as Location
  const tenure = () => ({ generation: 0 })
  const answers = { location: () => location, locations: () => [], hasPlace: () => false, tenure }
  const index = { ...answers, locate() {} }
  const staging = { open: async () => opened(staged), release() {}, markReleasable() {} }
  const services: Services = {
    ledger,
    queue,
    index: index as unknown as Index,
    staging: staging as unknown as Staging,
    backends: new Targets(index as unknown as Index),
  }
  const generation = { value: 0, known: Promise.resolve() }
  const target = { backend, generation, concurrency: 1, bytesInFlight: 2 ** 20, overwrite: false }
  await runJob(services, target, job, { signal, moved: () => {} })
}

function opened(chunks: readonly Uint8Array[]) {
  return { size: BYTES.length, body: streamOf(chunks), [Symbol.asyncDispose]: async () => {} }
}

async function* streamOf(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks
}

async function fail(job: Claimed, options = {}): Promise<StorageError> {
  return run(job, { breaks: true, ...options }).then(
    () => expect.unreachable(),
    (error) => error,
  )
}

async function putBack(job: Claimed): Promise<void> {
  const error = new StorageError('UNAVAILABLE', { op: 'put' })
  await ledger.transact((tx) => queue.retry(tx, job, { error, afterMs: 0 }))
}

function stored(): string | undefined {
  const blob = place.blobs.get('k')
  return blob && Buffer.from(blob.bytes).toString()
}

describe('the try after one whose connection broke', () => {
  test('resumes where that one ended', async () => {
    const job = await claim()
    expect(await fail(job)).toMatchObject({ code: 'UNAVAILABLE' })
    expect(stored()).toBeUndefined()
    await putBack(job)
    await run(await claim())
    expect(puts).toEqual([
      { checkpoint: undefined, fresh: 8 },
      { checkpoint: expect.any(String), fresh: 6 },
    ])
    expect(stored()).toBe(String(BYTES))
    expect((await Array.fromAsync(queue.jobs({}))).flat()).toEqual([])
  })

  test('also resumes if the process of that one died', async () => {
    await fail(await claim())
    await queue.recover()
    await run(await claim())
    expect(puts.at(-1)).toEqual({ checkpoint: expect.any(String), fresh: 6 })
    expect(stored()).toBe(String(BYTES))
  })

  test('starts over if nothing is left of what arrived', async () => {
    const job = await claim()
    await fail(job)
    await putBack(job)
    place.arrived.clear()
    await run(await claim())
    expect(puts.at(-1)).toEqual({ checkpoint: expect.any(String), fresh: BYTES.length })
    expect(stored()).toBe(String(BYTES))
  })

  test('is not given a checkpoint if the driver no longer resumes', async () => {
    const job = await claim()
    await fail(job)
    await putBack(job)
    await run(await claim(), { Backend: ForgetfulBackend })
    expect(puts.at(-1)?.checkpoint).toBeUndefined()
    expect(stored()).toBe(String(BYTES))
  })

  test('stores the right bytes although wrong ones arrived', async () => {
    const job = await claim()
    staged = [Buffer.from('wun '), ...CHUNKS.slice(1)]
    await fail(job)
    staged = CHUNKS
    await putBack(job)
    await run(await claim())
    expect(stored()).toBe(String(BYTES))
  })
})

describe('a checkpoint that cannot be kept', () => {
  test('since another process has the job by now ends the try, and replaces nothing', async () => {
    const lost = await claim()
    await queue.recover()
    const won = await claim()
    await queue.keepCheckpoint(won, 'of the other')
    expect(await fail(lost)).toMatchObject({ code: 'CONFLICT' })
    await putBack(won)
    expect((await claim()).checkpoint).toBe('of the other')
  })

  test('since the ledger fails ends the try, and is no fault of the backend', async () => {
    const job = await claim()
    ledger.transact = async () => {
      throw new StorageError('NO_SPACE', { op: 'commit' })
    }
    const error = await fail(job)
    expect(error).toMatchObject({ code: 'NO_SPACE', at: { op: 'put', key: 'k' } })
    expect(error.at.backend).toBeUndefined()
  })
})
