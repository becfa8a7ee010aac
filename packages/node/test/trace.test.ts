import { tracingChannel } from 'node:diagnostics_channel'
import { buffer } from 'node:stream/consumers'
import type { Trace } from '@stored/core'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openAt, type TempDirectory, temp } from './temp.ts'

const NAMES = ['put', 'stage', 'commit', 'sync', 'get'] as const
const BYTES = Buffer.alloc(300_000, 'bytes ')

let dir: TempDirectory
let store: Awaited<ReturnType<typeof openAt>>
/** Calls that began, and calls that ended, with what was told of them by then. */
let begun: string[]
let ended: (Trace & { readonly name: string })[]
let unsubscribe: (() => void)[]

beforeEach(async () => {
  dir = await temp()
  store = await openAt(dir.path)
  begun = []
  ended = []
  unsubscribe = NAMES.map((name) => {
    const channel = tracingChannel<object, Trace>(`stored:${name}`)
    const handlers = {
      start: () => void begun.push(name),
      end: () => {},
      asyncStart: () => {},
      asyncEnd: ({ key, backend, op, bytes, error }: Trace) =>
        void ended.push({ name, key, backend, op, bytes, error }),
      error: () => {},
    }
    channel.subscribe(handlers)
    return () => void channel.unsubscribe(handlers)
  })
})

afterEach(async () => {
  for (const end of unsubscribe) end()
  await store[Symbol.asyncDispose]()
  await dir[Symbol.asyncDispose]()
})

const gets = () => ended.filter(({ name }) => name === 'get')

describe('who subscribes to the channels of a store', () => {
  test('is told of a put, of its staging, and of a job for each backend, with their bytes', async () => {
    await store.put(BYTES, { key: 'k' })
    await store.synced()
    expect(ended.filter(({ name }) => name !== 'commit')).toMatchObject([
      { name: 'stage', key: 'k', bytes: BYTES.length },
      { name: 'put', key: 'k', bytes: BYTES.length },
      { name: 'sync', op: 'put', key: 'k', bytes: BYTES.length },
      { name: 'sync', op: 'put', key: 'k', bytes: BYTES.length },
    ])
    // That of the put: the process that syncs makes small ones of its own.
    const commits = ended.filter(({ name }) => name === 'commit').map(({ bytes = 0 }) => bytes)
    expect(Math.max(...commits)).toBeGreaterThan(100)
    expect(ended.flatMap(({ backend }) => backend ?? []).sort()).toEqual(['a', 'b'])
  })

  test('is told of a get as its last byte was delivered', async () => {
    await store.put(BYTES, { key: 'k' })
    await store.get('k')
    expect(gets()).toMatchObject([{ key: 'k', bytes: BYTES.length }])
    const stream = await store.get('k', { stream: true })
    expect(gets()).toHaveLength(1)
    await buffer(stream)
    await expect.poll(gets).toMatchObject([{}, { bytes: BYTES.length, error: undefined }])
  })

  test('is told of a stream that its reader destroys, with the bytes that were read until then', async () => {
    await store.put(BYTES, { key: 'k' })
    const stream = await store.get('k', { stream: true, range: { offset: 0, length: 10 } })
    stream.destroy()
    await expect.poll(gets).toMatchObject([{ bytes: 0, error: undefined }])
  })

  test('is told what a call failed with', async () => {
    await expect(store.get('nowhere')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(store.get('nowhere', { stream: true })).rejects.toMatchObject({ code: 'NOT_FOUND' })
    const error = { code: 'NOT_FOUND' }
    expect(ended).toMatchObject([
      { name: 'get', key: 'nowhere', error },
      { name: 'get', key: 'nowhere', error },
    ])
    expect(begun).toEqual(['get', 'get'])
  })
})
