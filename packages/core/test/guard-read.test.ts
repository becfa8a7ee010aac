import { createHash } from 'node:crypto'
import { getEventListeners } from 'node:events'
import { guardBackend } from '@stored/core'
import { StorageError, type StorageErrorCode } from '@stored/core/backend'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { chunks, deaf, spyBackend, untilAborted } from './backends.ts'

const BLOB = 'abcdefghij'
const sha256 = createHash('sha256').update(BLOB).digest('hex')
const WHOLE = { size: BLOB.length, sha256 }
const noDelay = async () => {}

/** A backend whose body is `parts`, whatever it says of its size. */
function giving(size: number, ...parts: (string | Error)[]) {
  const seen = { gets: 0, left: 0 }
  async function* body() {
    try {
      for (const part of parts) {
        if (part instanceof Error) throw part
        yield Buffer.from(part)
      }
    } finally {
      seen.left++
    }
  }
  const get = async (key: string) => {
    seen.gets++
    return { stat: { key, size }, body: body() }
  }
  return { seen, ...spyBackend({ get }) }
}

describe('read()', () => {
  test.each([[[BLOB]], [['abc', 'defg', 'hij']], [['abc', '', 'defghij']]])('of %j gives all bytes', async (parts) => {
    const { backend } = giving(10, ...parts)
    const read = await guardBackend(backend).read('k', WHOLE)
    expect({ bytes: read?.bytes.toString(), size: read?.stat.size }).toEqual({ bytes: BLOB, size: 10 })
  })

  test('of an empty blob gives no bytes', async () => {
    const { backend } = giving(0)
    const empty = { size: 0, sha256: createHash('sha256').digest('hex') }
    expect((await guardBackend(backend).read('k', empty))?.bytes.length).toBe(0)
  })

  test('of a blob of another size is null, and reads nothing of it', async () => {
    const { backend, seen } = giving(2 ** 40, BLOB)
    expect(await guardBackend(backend).read('k', WHOLE)).toBeNull()
    expect(seen).toMatchObject({ gets: 1 })
  })

  test.each<[string, StorageErrorCode, string[]]>([
    ['wrong', 'CHECKSUM_MISMATCH', ['abcdefghiX']],
    ['cut short', 'SIZE_MISMATCH', ['abcdefghi']],
    ['longer than they should be', 'SIZE_MISMATCH', [BLOB, 'k', 'never read']],
  ])('of bytes that are %s rejects with %s', async (_, code, parts) => {
    const { backend } = giving(10, ...parts)
    await expect(guardBackend(backend).read('k', WHOLE)).rejects.toMatchObject({ code, at: { op: 'get', key: 'k' } })
  })

  test('leaves an endless body as soon as it is too long', async () => {
    const { backend, seen } = giving(10, ...Array.from({ length: 1000 }, () => BLOB))
    await expect(guardBackend(backend).read('k', WHOLE)).rejects.toMatchObject({ code: 'SIZE_MISMATCH' })
    expect(seen.left).toBe(1)
  })

  test('tries again when the backend, or the body, fails for a while', async () => {
    let failures = 2
    const away = (key: string) => new StorageError('UNAVAILABLE', { op: 'get', key })
    const { backend } = spyBackend({
      async get(key) {
        if (failures === 2) {
          failures--
          throw away(key)
        }
        async function* torn() {
          yield Buffer.from('abc')
          failures--
          throw away(key)
        }
        return { stat: { key, size: 10 }, body: failures === 1 ? torn() : chunks(BLOB) }
      },
    })
    const read = await guardBackend(backend, { delay: noDelay }).read('k', WHOLE)
    expect(read?.bytes.toString()).toBe(BLOB)
  })

  test('of what is not there, or without a digest, is refused at once', async () => {
    const { backend, calls } = spyBackend()
    const guard = guardBackend(backend)
    await expect(guard.read('k', { size: 1 } as never)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    expect(calls.filter(({ method }) => method === 'get')).toEqual([])
    await expect(guard.read('k', WHOLE)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  test('that is aborted rejects with ABORTED and leaves nothing at the signal', async () => {
    const controller = new AbortController()
    const { backend } = spyBackend({ get: (_, { signal }) => untilAborted(signal) })
    const reading = guardBackend(backend).read('k', { ...WHOLE, signal: controller.signal })
    setImmediate(() => controller.abort(new Error('enough')))
    await expect(reading).rejects.toMatchObject({ code: 'ABORTED' })
    expect(getEventListeners(controller.signal, 'abort')).toEqual([])
  })

  test('that is aborted between two chunks leaves the body, which may hold a file open', async () => {
    const controller = new AbortController()
    let left = 0
    async function* body() {
      try {
        controller.abort(new Error('enough'))
        yield Buffer.from('abc')
        yield Buffer.from('defghij')
      } finally {
        left++
      }
    }
    const { backend } = spyBackend({ get: async (key) => ({ stat: { key, size: 10 }, body: body() }) })
    const reading = guardBackend(backend).read('k', { ...WHOLE, signal: controller.signal })
    await expect(reading).rejects.toMatchObject({ code: 'ABORTED' })
    expect(left).toBe(1)
  })

  test('that is aborted as the backend answers leaves the body before its first chunk', async () => {
    const controller = new AbortController()
    let left = 0
    const body = Object.assign(chunks(BLOB), { return: async () => ({ done: true as const, value: left++ }) })
    const { backend } = spyBackend({
      async get(key) {
        controller.abort(new Error('enough'))
        return { stat: { key, size: 10 }, body }
      },
    })
    const reading = guardBackend(backend).read('k', { ...WHOLE, signal: controller.signal })
    await expect(reading).rejects.toMatchObject({ code: 'ABORTED' })
    expect(left).toBe(1)
  })
})

describe('of calls that are under way together', () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  test('each is ended a whole idleTimeoutMs after its own last byte, by one timer', async () => {
    const { backend } = spyBackend({ get: (_, { signal }) => untilAborted(signal) })
    const guard = guardBackend(backend, { idleTimeoutMs: 1000, retries: 0 })
    const ended: number[] = []
    const begun = performance.now()
    const read = () => guard.read('k', WHOLE).catch(() => ended.push(Math.round(performance.now() - begun)))
    await guard.open()
    await vi.advanceTimersByTimeAsync(1500)
    const from = Math.round(performance.now() - begun)
    void read()
    await vi.advanceTimersByTimeAsync(400)
    void read()
    await vi.advanceTimersByTimeAsync(300)
    void read()
    expect(vi.getTimerCount()).toBe(1)
    await vi.advanceTimersByTimeAsync(2000)
    expect(ended).toEqual([from + 1000, from + 1400, from + 1700])
    expect(vi.getTimerCount()).toBe(0)
  })

  test('one that waits for its turn is not taken for one that stalls', async () => {
    const capabilities = { contract: 1, limits: { maxConcurrent: 1 } } as const
    const answers = [Promise.withResolvers<null>(), Promise.withResolvers<null>()]
    let asked = 0
    const { backend } = spyBackend({ stat: () => (answers[asked++]?.promise ?? deaf()) as Promise<null> }, capabilities)
    const guard = guardBackend(backend, { idleTimeoutMs: 1000 })
    const [first, second] = [guard.stat('a'), guard.stat('b')]
    await vi.advanceTimersByTimeAsync(900)
    answers[0]?.resolve(null)
    await first
    await vi.advanceTimersByTimeAsync(900)
    answers[1]?.resolve(null)
    await expect(second).resolves.toBeNull()
  })
})
