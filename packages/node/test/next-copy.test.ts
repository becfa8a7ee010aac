import { rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { type GetOptions, type GetResult, MemoryBackend } from '@stored/core/backend'
import { openStore } from '@stored/node'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openAt, type TempDirectory, temp } from './temp.ts'

const SMALL = Buffer.alloc(65_536, 'small ')
const BIG = Buffer.alloc(300_000, 'big ')
const GROWN_BYTES = 400 << 20

let dir: TempDirectory
beforeEach(async () => {
  dir = await temp()
})
afterEach(() => dir[Symbol.asyncDispose]())

type Store = Awaited<ReturnType<typeof openAt>>

/** A blob on `a` and `b`, of which the one on `a` has then other bytes of the same size. */
async function damagedOnA(store: Store, bytes: Buffer, key = 'k'): Promise<void> {
  await store.put(bytes, { key })
  await store.synced()
  await writeFile(path.join(dir.path, 'a', key), Buffer.alloc(bytes.length, 'wrong '))
}

async function streamed(read: ReturnType<Store['get']> | Promise<NodeJS.ReadableStream>): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync((await read) as unknown as AsyncIterable<Buffer>))
}

/** Memory whose reads break off behind the first byte. */
class Broken extends MemoryBackend {
  reads = 0

  override async get(key: string, options: GetOptions): Promise<GetResult> {
    this.reads++
    const { stat, body } = await super.get(key, options)
    return { stat, body: cut(body) }
  }
}

/** Memory, of which each blob is 400 MiB once it has grown. */
class Grown extends MemoryBackend {
  hasGrown = false
  /** Of the bytes that it gave out and anything else, in bytes. */
  mostHeld = 0

  override async get(key: string, options: GetOptions): Promise<GetResult> {
    const { stat, body } = await super.get(key, options)
    return this.hasGrown ? { stat: { ...stat, size: GROWN_BYTES }, body: this.#grown() } : { stat, body }
  }

  async *#grown(): AsyncGenerator<Uint8Array> {
    for (let done = 0; done < GROWN_BYTES; done += 1 << 20) {
      yield new Uint8Array(1 << 20)
      this.mostHeld = Math.max(this.mostHeld, process.memoryUsage().arrayBuffers)
    }
  }
}

async function* cut(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    yield chunk.subarray(0, 1)
    throw new Error('the cable was pulled')
  }
}

/** A store whose first backend breaks off every read, and whose second one is well. */
async function brokenOnA(bytes: Buffer) {
  const a = new Broken()
  const backends = { a: { backend: a }, b: { driver: 'fs', root: path.join(dir.path, 'b') } }
  const store = await openStore({ path: path.join(dir.path, 'store'), backends } as never)
  await store.put(bytes, { key: 'k' })
  await store.synced()
  a.reads = 0
  return { store: store as unknown as Store, a }
}

describe('get() with stream and fallback', () => {
  test('of up to 64 KiB goes on with the next copy when the first has wrong bytes', async () => {
    await using store = await openAt(dir.path)
    await damagedOnA(store, SMALL)
    expect(await streamed(store.get('k', { stream: true, fallback: true }))).toEqual(SMALL)
    expect((await store.stat('k'))?.locations).toMatchObject([{ state: 'unknown' }, { state: 'synced' }])
  })

  test.each([
    ['all of it', undefined, SMALL],
    ['a range of a larger one', { offset: 1000, length: 65_536 }, BIG],
  ])('of up to 64 KiB goes on when the first copy breaks off: %s', async (_, range, bytes) => {
    const { store } = await brokenOnA(bytes)
    await using _store = store
    const read = await streamed(store.get('k', { stream: true, fallback: true, ...(range && { range }) }))
    expect(read).toEqual(range ? bytes.subarray(1000, 66_536) : bytes)
  })

  test.each([true, false])(
    'does not keep the bytes of a copy that has become far larger, stream: %s',
    async (stream) => {
      const a = new Grown()
      const backends = { a: { backend: a }, b: { driver: 'fs', root: path.join(dir.path, 'b') } }
      const opened = await openStore({ path: path.join(dir.path, 'store'), backends } as never)
      await using store = opened as unknown as Store
      await store.put(SMALL, { key: 'k' })
      await store.synced()
      a.hasGrown = true
      const read = stream ? streamed(store.get('k', { fallback: true, stream })) : store.get('k', { fallback: true })
      expect(await read).toEqual(SMALL)
      expect(a.mostHeld).toBeLessThan(GROWN_BYTES / 2)
    },
  )

  test('of an empty blob is empty', async () => {
    await using store = await openAt(dir.path)
    await store.put(Buffer.alloc(0), { key: 'k' })
    expect(await text(await store.get('k', { stream: true }))).toBe('')
  })

  test('of more ends with the error, which says what to read instead', async () => {
    await using store = await openAt(dir.path)
    await damagedOnA(store, BIG)
    const read = store.get('k', { stream: true, fallback: true })
    const error = await streamed(read).catch((error: unknown) => error)
    expect(error).toMatchObject({ code: 'CHECKSUM_MISMATCH', at: { backend: 'a' } })
    expect(await streamed(store.get('k', { stream: true, backends: ['b'] }))).toEqual(BIG)
  })

  test('that is not asked for rejects at once, and names the other copy', async () => {
    await using store = await openAt(dir.path)
    await damagedOnA(store, SMALL)
    await expect(store.get('k', { stream: true })).rejects.toThrow(/CHECKSUM_MISMATCH.*other copies: b/)
  })

  test('that is aborted asks no other copy', async () => {
    const { store, a } = await brokenOnA(SMALL)
    await using _ = store
    const controller = new AbortController()
    const { signal } = controller
    const reason = new Error('enough')
    a.get = async () => {
      controller.abort(reason)
      throw new Error('broken')
    }
    const reading = store.get('k', { fallback: true, signal })
    await expect(reading).rejects.toMatchObject({ code: 'ABORTED', cause: reason })
  })
})

describe('get() with backends', () => {
  const on = (name: string) => ({ driver: 'fs', root: path.join(dir.path, name) })

  /** `k` on all three. */
  async function three(): Promise<Store> {
    const store = await openAt(dir.path, { backends: { a: on('a'), b: on('b'), c: on('c') } })
    await store.put(SMALL, { key: 'k' })
    await store.synced()
    return store
  }
  const names = (...names: string[]) => names as ('a' | 'b')[]

  test('reads the copy on the first of them, whatever the order of the configuration', async () => {
    await using store = await three()
    for (const name of ['a', 'b']) await rm(path.join(dir.path, name, 'k'))
    expect(await store.get('k', { backends: names('c', 'a') })).toEqual(SMALL)
    expect((await store.stat('k'))?.locations.map(({ state }) => state)).toEqual(['synced', 'synced', 'synced'])
  })

  test.each([
    ['a Buffer', {}],
    ['a stream', { stream: true }],
    ['a range', { range: { length: 65_536 } }],
  ] as const)('reads the next one when the first is bad: %s', async (_, options) => {
    await using store = await three()
    await writeFile(path.join(dir.path, 'c/k'), Buffer.alloc(SMALL.length, 'wrong '))
    const read = await store.get('k', { backends: names('c', 'b'), ...(options as object) })
    expect(Buffer.isBuffer(read) ? read : await streamed(Promise.resolve(read))).toEqual(SMALL)
    expect((await store.stat('k'))?.locations).toMatchObject([{}, { state: 'synced' }, { state: 'unknown' }])
  })

  test('passes over one that has no copy', async () => {
    await using store = await three()
    await store.put(Buffer.from('only b'), { key: 'l', backends: ['b'] })
    await store.synced()
    expect(String(await store.get('l', { backends: ['a', 'b'] }))).toBe('only b')
  })

  test('reads no other copy, neither staged bytes', async () => {
    await using store = await openAt(dir.path)
    await store.pause('b')
    await store.put(SMALL, { key: 'k' })
    await store.synced('k', { backends: ['a'] })
    await expect(store.get('k', { backends: ['b'] })).rejects.toMatchObject({ code: 'NOT_FOUND', at: { backend: 'b' } })
    await rm(path.join(dir.path, 'a/k'))
    await expect(store.get('k', { backends: ['a', 'b'] })).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(await store.get('k')).toEqual(SMALL)
  })

  test('and fallback: false reads the first that there is, and names the others', async () => {
    await using store = await three()
    await rm(path.join(dir.path, 'b/k'))
    const reading = store.get('k', { backends: names('b', 'c'), fallback: false })
    await expect(reading).rejects.toThrow(/NOT_FOUND: other copies: c;/)
  })

  test('tells of all that failed', async () => {
    await using store = await three()
    for (const name of ['a', 'b']) await rm(path.join(dir.path, name, 'k'))
    const error = await store.get('k', { backends: ['b', 'a'] }).catch((error: unknown) => error)
    expect(error).toMatchObject({ code: 'UNAVAILABLE' })
    const { errors } = (error as Error).cause as AggregateError
    expect(errors).toMatchObject([
      { code: 'NOT_FOUND', at: { backend: 'b' } },
      { code: 'NOT_FOUND', at: { backend: 'a' } },
    ])
  })

  test('is refused together with backend, with no name, and with one that is unknown', async () => {
    await using store = await three()
    const refused = (options: object, why: RegExp) =>
      expect(store.get('k', options)).rejects.toThrow(new RegExp(`INVALID_ARGUMENT: ${why.source}`))
    await refused({ backend: 'a', backends: ['b'] }, /backend and backends exclude each other/)
    await refused({ backends: [] }, /backends names none/)
    await refused({ backends: ['a', 'bb'] }, /unknown backend "bb"/)
    await refused({ backends: 'a' }, /.*an array of names/)
  })
})

test('repair() that finds no room says so, whatever the number of good copies', async () => {
  const on = (name: string) => ({ driver: 'fs', root: path.join(dir.path, name) })
  const staging = { limit: 320_000, whenFull: 'refuse' } as const
  await using store = await openAt(dir.path, { backends: { a: on('a'), b: on('b'), c: on('c') }, staging })
  await store.put(BIG, { key: 'k' })
  await store.synced()
  await rm(path.join(dir.path, 'a/k'))
  await expect(store.get('k', { backend: 'a' })).rejects.toMatchObject({ code: 'NOT_FOUND' })
  await store.pause('a')
  await store.put(Buffer.alloc(200_000, 'other '), { key: 'l', backends: ['a'] })
  await expect(store.repair('k')).rejects.toMatchObject({ code: 'STAGING_FULL' })
})
