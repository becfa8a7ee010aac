import { createHash } from 'node:crypto'
import { getEventListeners } from 'node:events'
import { Readable } from 'node:stream'
import { type GuardedBackend, guardBackend } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BARE, chunks, deaf, spyBackend, text, untilAborted } from './backends.ts'

const sha256 = (bytes: string | Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

async function held(guard: GuardedBackend, key: string): Promise<string | null> {
  return (await guard.has(key)) ? text((await guard.get(key)).body) : null
}

describe('put() stores', () => {
  test('the bytes of a source in any chunks, and returns its size and SHA-256', async () => {
    const guard = guardBackend(spyBackend().backend)
    const property = fc.asyncProperty(
      fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 6 }),
      fc.boolean(),
      async (parts, told) => {
        const whole = Buffer.concat(parts)
        const options = told ? { size: whole.byteLength, sha256: sha256(whole) } : {}
        const stat = await guard.put('k', Readable.from(parts), options)
        expect(stat).toMatchObject({ key: 'k', size: whole.byteLength, sha256: sha256(whole) })
        expect(Buffer.concat(await Array.fromAsync((await guard.get('k')).body)).equals(whole)).toBe(true)
      },
    )
    await fc.assert(property, { numRuns: 50 })
  })

  test('nothing if the source fails, keeps the old blob, and rejects with the cause', async () => {
    const guard = guardBackend(spyBackend().backend, { name: 'mine' })
    await guard.put('k', Buffer.from('old'))
    const cause = new Error('torn')
    async function* torn() {
      yield Buffer.from('ne')
      throw cause
    }
    await expect(guard.put('k', torn())).rejects.toMatchObject({
      code: 'SOURCE_FAILED',
      cause,
      at: { backend: 'mine', op: 'put', key: 'k' },
    })
    expect(await held(guard, 'k')).toBe('old')
  })

  test('every chunk unchanged, even if the source reuses its buffer', async () => {
    const guard = guardBackend(spyBackend().backend)
    async function* reusing() {
      const buffer = Buffer.alloc(1)
      for (const letter of 'abc') yield buffer.fill(letter)
    }
    const stat = await guard.put('k', reusing(), { size: 3 })
    expect([await held(guard, 'k'), stat.sha256]).toEqual(['abc', sha256('abc')])
  })
})

describe('put() stores nothing if the source does not match', () => {
  test.each([
    ['a stream shorter than size', () => chunks('ab', 'c'), { size: 4 }, 'SIZE_MISMATCH'],
    ['a stream longer than size', () => chunks('ab', 'c'), { size: 2 }, 'SIZE_MISMATCH'],
    ['a stream where size is 0', () => chunks('a'), { size: 0 }, 'SIZE_MISMATCH'],
    ['a Buffer of another size', () => Buffer.from('abc'), { size: 2 }, 'SIZE_MISMATCH'],
    ['a Buffer of another digest', () => Buffer.from('abc'), { sha256: sha256('abd') }, 'CHECKSUM_MISMATCH'],
    ['a stream of another digest', () => chunks('ab', 'c'), { sha256: sha256('abd') }, 'CHECKSUM_MISMATCH'],
    ['an empty stream of another digest', () => chunks(), { size: 0, sha256: sha256('a') }, 'CHECKSUM_MISMATCH'],
  ])('%s', async (_, source, options, code) => {
    const guard = guardBackend(spyBackend().backend)
    await guard.put('k', Buffer.from('old'))
    await expect(guard.put('k', source(), options)).rejects.toMatchObject({ code, ambiguous: false })
    expect(await held(guard, 'k')).toBe('old')
  })

  test('a driver that stops at the given size never has the whole of a wrong body', async () => {
    let got = ''
    const { backend } = spyBackend({
      async put(key, body, { size = 0 }) {
        for await (const chunk of body) {
          got += chunk
          if (got.length === size) break
        }
        return { key, size }
      },
    })
    await expect(guardBackend(backend).put('k', chunks('ab', 'cd', 'e'), { size: 4 })).rejects.toMatchObject({
      code: 'SIZE_MISMATCH',
    })
    expect(got).toBe('ab')
  })

  test('a source of 0 bytes is read, even if the driver does not read it', async () => {
    const { backend } = spyBackend({ put: async (key) => ({ key, size: 0 }) })
    await expect(guardBackend(backend).put('k', chunks('a'), { size: 0 })).rejects.toMatchObject({
      code: 'SIZE_MISMATCH',
    })
    await expect(guardBackend(backend).put('k', chunks(), { size: 0 })).resolves.toMatchObject({ sha256: sha256('') })
  })
})

describe('put() does not believe a driver that', () => {
  const answers: [string, object, string][] = [
    ['says another size', { size: 2 }, 'SIZE_MISMATCH'],
    ['says another SHA-256', { checksums: { sha256: sha256('x') } }, 'CHECKSUM_MISMATCH'],
    ['says another MD5', { checksums: { md5: '0'.repeat(32) } }, 'CHECKSUM_MISMATCH'],
  ]
  test.each(answers)('%s', async (_, answer, code) => {
    const { backend } = spyBackend(
      {
        async put(key, body) {
          return { key, size: (await text(body)).length, ...answer }
        },
      },
      { contract: 1, checksums: ['md5'] },
    )
    await expect(guardBackend(backend).put('k', Buffer.from('abc'))).rejects.toMatchObject({ code, ambiguous: true })
  })

  test('leaves the body unread', async () => {
    const { backend } = spyBackend({ put: async (key) => ({ key, size: 3 }) })
    await expect(guardBackend(backend).put('k', chunks('abc'))).rejects.toMatchObject({
      code: 'INTERNAL',
      ambiguous: true,
    })
  })
})

describe('put() refuses, before the driver is called or the source read,', () => {
  const invalid: [string, string, object, string][] = [
    ['an invalid key', 'a//b', {}, 'INVALID_KEY'],
    ['a reserved key', '.stored/tmp/x', {}, 'INVALID_KEY'],
    ['an unknown option', 'k', { ifabsent: true }, 'INVALID_ARGUMENT'],
    ['a negative size', 'k', { size: -1 }, 'INVALID_ARGUMENT'],
    ['a fractional size', 'k', { size: 1.5 }, 'INVALID_ARGUMENT'],
    ['an invalid digest', 'k', { sha256: 'ABC' }, 'INVALID_ARGUMENT'],
    ['both conditions', 'k', { ifAbsent: true, ifMatch: 'e' }, 'INVALID_ARGUMENT'],
    ['metadata whose names differ only in case', 'k', { metadata: { A: '1', a: '2' } }, 'INVALID_ARGUMENT'],
    ['metadata that is not text', 'k', { metadata: { a: 1 } }, 'INVALID_ARGUMENT'],
  ]
  test.each(invalid)('%s', async (_, key, options, code) => {
    const { backend, calls } = spyBackend()
    let pulled = false
    async function* source() {
      pulled = true
      yield Buffer.from('x')
    }
    await expect(guardBackend(backend).put(key, source(), options)).rejects.toMatchObject({ code })
    expect([calls.filter(({ method }) => method === 'put'), pulled]).toEqual([[], false])
  })

  test.each([
    ['ifAbsent', { ifAbsent: true }],
    ['ifMatch', { ifMatch: 'e' }],
  ])('%s if the driver does not declare it', async (_, options) => {
    const { backend, calls } = spyBackend({}, BARE)
    await expect(guardBackend(backend).put('k', chunks('x'), options)).rejects.toMatchObject({ code: 'UNSUPPORTED' })
    expect(calls).toEqual([])
  })

  test('a write to a read-only backend', async () => {
    const guard = guardBackend(spyBackend({}, { contract: 1, readOnly: true }).backend)
    await expect(guard.put('k', chunks('x'))).rejects.toMatchObject({ code: 'UNSUPPORTED' })
    await expect(guard.delete('k')).rejects.toMatchObject({ code: 'UNSUPPORTED' })
  })

  test('more than limits.maxSize, or while reading if the size is unknown', async () => {
    const { backend, calls } = spyBackend({}, { contract: 1, limits: { maxSize: 2 } })
    const guard = guardBackend(backend)
    await expect(guard.put('k', Buffer.from('abc'))).rejects.toMatchObject({ code: 'TOO_LARGE' })
    expect(calls).toEqual([])
    await expect(guard.put('k', chunks('a', 'b', 'c'))).rejects.toMatchObject({ code: 'TOO_LARGE' })
    expect(await guard.has('k')).toBe(false)
  })

  test('a stream of unknown size where limits.needsSize', async () => {
    const { backend, calls } = spyBackend({}, { contract: 1, limits: { needsSize: true } })
    await expect(guardBackend(backend).put('k', chunks('x'))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    expect(calls).toEqual([])
  })
})

test('the driver sees only what it declared, and metadata with lower-case names', async () => {
  const options = {
    size: 1,
    contentType: 'text/plain',
    metadata: { Author: 'x' },
    file: '/nowhere',
    sha256: sha256('x'),
  }
  const bare = spyBackend({}, BARE)
  await guardBackend(bare.backend).put('k', chunks('x'), options)
  expect(Object.keys(bare.calls[0]?.args[2] as object).sort()).toEqual(['onSent', 'sha256', 'signal', 'size'])

  const able = spyBackend({}, { contract: 1, metadata: true, contentType: true })
  await guardBackend(able.backend).put('k', chunks('x'), options)
  expect(able.calls[0]?.args[2]).toMatchObject({ contentType: 'text/plain', metadata: { author: 'x' } })
})

describe('put({ file }) of a driver that clones it', () => {
  const USES_FILE = { contract: 1, usesFile: true } as const
  const options = { file: '/staged', size: 3, sha256: sha256('abc') }

  /** Publishes the cloned file once `body` has ended, as the contract requires. */
  function cloning() {
    const published: string[] = []
    const { backend } = spyBackend(
      {
        async put(key, body, { file }) {
          for await (const _ of body);
          published.push(String(file))
          return { key, size: 3 }
        },
      },
      USES_FILE,
    )
    return { guard: guardBackend(backend), published }
  }

  test('still reads and hashes the source', async () => {
    const { guard, published } = cloning()
    const sent: number[] = []
    const onSent = (total: number) => void sent.push(total)
    const stat = await guard.put('k', chunks('a', 'bc'), { ...options, onSent })
    expect(stat).toEqual({ key: 'k', size: 3, sha256: sha256('abc') })
    expect([published, sent]).toEqual([['/staged'], [1, 3]])
  })

  test('stores nothing if a bit of the source was flipped', async () => {
    const { guard, published } = cloning()
    await expect(guard.put('k', chunks('a', 'bb'), options)).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH' })
    expect(published).toEqual([])
  })

  test('rejects with INTERNAL, ambiguous, if it published without reading the body', async () => {
    const { backend } = spyBackend({ put: async (key) => ({ key, size: 3 }) }, USES_FILE)
    const put = guardBackend(backend).put('k', chunks('abc'), options)
    await expect(put).rejects.toMatchObject({ code: 'INTERNAL', ambiguous: true })
  })
})

test('onSent never falls, and ends with the size', async () => {
  const { backend } = spyBackend({
    async put(key, body, { onSent }) {
      const all = await text(body)
      for (const total of [1, 5, 3]) onSent?.(total)
      return { key, size: all.length }
    },
  })
  const sent: number[] = []
  await guardBackend(backend).put('k', chunks('ab', 'cdef'), { onSent: (total) => void sent.push(total) })
  expect(sent).toEqual([...sent].sort((a, b) => a - b))
  expect(sent.at(-1)).toBe(6)
})

describe('put() releases its source once', () => {
  class Source {
    returned = 0;
    [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
      const next = async () => ({ done: false as const, value: Buffer.from('x') })
      const leave = async () => {
        this.returned += 1
        return { done: true as const, value: undefined }
      }
      return { next, return: leave }
    }
  }

  test.each([
    ['before it read anything', async () => Promise.reject(new StorageError('NO_SPACE', { op: 'put' }))],
    [
      'half-way',
      async (_: string, body: AsyncIterable<Uint8Array>) => {
        for await (const _ of body) throw new StorageError('NO_SPACE', { op: 'put' })
        return expect.fail()
      },
    ],
  ])('if the driver fails %s', async (_, put) => {
    const source = new Source()
    await expect(guardBackend(spyBackend({ put }).backend).put('k', source)).rejects.toMatchObject({ code: 'NO_SPACE' })
    expect(source.returned).toBe(1)
  })

  test('if the backend cannot be opened', async () => {
    const source = new Source()
    const open = async () => Promise.reject(new StorageError('MISCONFIGURED', { op: 'open' }))
    await expect(guardBackend(spyBackend({ open }).backend).put('k', source)).rejects.toMatchObject({
      code: 'MISCONFIGURED',
    })
    expect(source.returned).toBe(1)
  })

  test('if the signal is already aborted', async () => {
    const { backend, calls } = spyBackend()
    const source = new Source()
    const signal = AbortSignal.abort(new Error('early'))
    await expect(guardBackend(backend).put('k', source, { signal })).rejects.toMatchObject({
      code: 'ABORTED',
      cause: signal.reason,
    })
    expect([calls, source.returned]).toEqual([[], 1])
  })
})

describe('an abort of put()', () => {
  test('while the source is idle rejects with ABORTED, the reason as its cause, and stores nothing', async () => {
    const controller = new AbortController()
    const guard = guardBackend(spyBackend().backend)
    const idle = { [Symbol.asyncIterator]: () => ({ next: deaf }) }
    const putting = guard.put('k', idle, { signal: controller.signal })
    const reason = { why: 'enough' }
    setImmediate(() => controller.abort(reason))
    await expect(putting).rejects.toMatchObject({ code: 'ABORTED', name: 'AbortError', cause: reason })
    expect(await guard.has('k')).toBe(false)
    expect(getEventListeners(controller.signal, 'abort')).toEqual([])
  })

  test('that arrives too late for the driver resolves', async () => {
    const controller = new AbortController()
    const { backend } = spyBackend({
      async put(key, body) {
        const { length } = await text(body)
        controller.abort()
        return { key, size: length }
      },
    })
    await expect(guardBackend(backend).put('k', chunks('abc'), { signal: controller.signal })).resolves.toMatchObject({
      size: 3,
    })
  })

  test('keeps the ambiguity of what the driver rejected with', async () => {
    const controller = new AbortController()
    const { backend } = spyBackend({
      async put(_, __, { signal }) {
        await untilAborted(signal).catch((cause) => {
          throw new StorageError('UNAVAILABLE', { op: 'put' }, { cause, ambiguous: true })
        })
        return expect.fail()
      },
    })
    const putting = guardBackend(backend).put('k', chunks('abc'), { signal: controller.signal })
    setImmediate(() => controller.abort())
    await expect(putting).rejects.toMatchObject({ code: 'ABORTED', ambiguous: true })
  })
})

test('64 puts of small Buffers are all in flight within one turn of the event loop', async () => {
  let started = 0
  const { backend } = spyBackend({
    async put(key, body) {
      const { length } = await text(body)
      started += 1
      return { key, size: length }
    },
  })
  const guard = guardBackend(backend)
  await guard.open()
  const puts = Array.from({ length: 64 }, (_, i) => guard.put(`k${i}`, Buffer.alloc(4096)))
  await new Promise((resolve) => setImmediate(resolve))
  expect(started).toBe(64)
  await Promise.all(puts)
})

test("an error keeps the driver's message, under the configured name", async () => {
  const cause = new Error('ECONNRESET')
  const { backend } = spyBackend({
    delete: async (key) => {
      throw new StorageError(
        'RATE_LIMITED',
        { backend: 'memory', op: 'delete', key },
        { cause, detail: 'slow down', retryAfterMs: 5 },
      )
    },
  })
  await expect(guardBackend(backend, { name: 'mine' }).delete('k')).rejects.toMatchObject({
    message: 'mine delete "k": RATE_LIMITED: slow down',
    cause,
    retryable: true,
    retryAfterMs: 5,
  })
})

test('a driver that throws anything else rejects with INTERNAL', async () => {
  const { backend } = spyBackend({
    delete() {
      throw new TypeError('undefined is not a function')
    },
  })
  await expect(guardBackend(backend).delete('k')).rejects.toMatchObject({
    code: 'INTERNAL',
    cause: expect.any(TypeError),
  })
})
