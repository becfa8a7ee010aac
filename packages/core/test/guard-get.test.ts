import { createHash } from 'node:crypto'
import { getEventListeners } from 'node:events'
import { type GuardedBackend, type GuardOptions, guardBackend } from '@stored/core'
import { type Capabilities, StorageError, type StorageErrorCode } from '@stored/core/backend'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BARE, chunks, spyBackend, text } from './backends.ts'

const sha256 = (bytes: string): string => createHash('sha256').update(bytes).digest('hex')
const BLOB = 'abcdefghij'

async function holding(blob: string, capabilities?: Capabilities, options?: GuardOptions) {
  const { backend, calls } = spyBackend({}, capabilities)
  const guard = guardBackend(backend, options)
  await guard.put('k', Buffer.from(blob))
  return { guard, calls }
}

const RANGES: [string, Capabilities][] = [
  ['a driver with ranges', { contract: 1, range: true }],
  ['a driver without', BARE],
]

describe.each(RANGES)('a range of %s', (_, capabilities) => {
  test('returns the requested slice, and stat describes the whole blob', async () => {
    const { guard } = await holding(BLOB, capabilities)
    const property = fc.asyncProperty(fc.nat(9), fc.option(fc.nat(20), { nil: undefined }), async (offset, length) => {
      const { stat, body } = await guard.get('k', { offset, length })
      expect(stat.size).toBe(10)
      expect(await text(body)).toBe(BLOB.slice(offset, length === undefined ? undefined : offset + length))
    })
    await fc.assert(property)
  })

  test.each([
    [3, 'hij'],
    [10, BLOB],
    [99, BLOB],
    [0, ''],
  ])('of the last %d bytes is %j', async (last, expected) => {
    const { guard } = await holding(BLOB, capabilities)
    expect(await text((await guard.get('k', { last })).body)).toBe(expected)
  })

  test.each([10, 11, 2 ** 40])(
    'from offset %d, at or past the end, rejects with RANGE_NOT_SATISFIABLE',
    async (offset) => {
      const { guard } = await holding(BLOB, capabilities, { discardLimit: 2 ** 50 })
      await expect(guard.get('k', { offset })).rejects.toMatchObject({ code: 'RANGE_NOT_SATISFIABLE' })
    },
  )

  test('of an empty blob from offset 0 is empty', async () => {
    const { guard } = await holding('', capabilities)
    for (const options of [{}, { offset: 0 }, { length: 5 }, { last: 5 }])
      expect(await text((await guard.get('k', options)).body)).toBe('')
    await expect(guard.get('k', { offset: 1 })).rejects.toMatchObject({ code: 'RANGE_NOT_SATISFIABLE' })
  })

  test('of zero bytes is empty if the blob exists, NOT_FOUND if it does not', async () => {
    const { guard } = await holding(BLOB, capabilities)
    expect(await text((await guard.get('k', { offset: 50, length: 0 })).body)).toBe('')
    await expect(guard.get('missing', { length: 0 })).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  test('of a missing blob rejects with NOT_FOUND', async () => {
    const { guard } = await holding(BLOB, capabilities)
    for (const options of [{ offset: 1 }, { last: 1 }, {}])
      await expect(guard.get('missing', options)).rejects.toMatchObject({ code: 'NOT_FOUND', at: { key: 'missing' } })
  })
})

test('an offset beyond discardLimit, without ranges, is UNSUPPORTED and nothing is read', async () => {
  const { guard, calls } = await holding(BLOB, BARE, { discardLimit: 4 })
  expect(await text((await guard.get('k', { offset: 4, length: 2 })).body)).toBe('ef')
  calls.length = 0
  await expect(guard.get('k', { offset: 5 })).rejects.toMatchObject({ code: 'UNSUPPORTED' })
  expect(calls).toEqual([])
})

test('a server that rejects ranges of an empty blob causes no error', async () => {
  const { backend } = spyBackend({
    get: async () => Promise.reject(new StorageError('RANGE_NOT_SATISFIABLE', { op: 'get' })),
    stat: async (key) => ({ key, size: 0 }),
  })
  expect(await text((await guardBackend(backend).get('k', { length: 5 })).body)).toBe('')
})

test('a blob overwritten between stat and get of the last bytes is read again', async () => {
  let stats = 0
  const { backend } = spyBackend({
    async stat(key) {
      stats += 1
      return { key, size: stats === 1 ? 4 : 10 }
    },
  })
  const guard = guardBackend(backend, { delay: async () => {} })
  await guard.put('k', Buffer.from(BLOB))
  expect(await text((await guard.get('k', { last: 3 })).body)).toBe('hij')
})

test.each([
  { offset: -1 },
  { offset: 1.5 },
  { length: Number.NaN },
  { offset: 2 ** 53 },
  { last: -1 },
  { last: 1, offset: 0 },
  { range: 1 },
  { sha256: 'x' },
])('get(%j) rejects with INVALID_ARGUMENT before the driver is called', async (options) => {
  const { backend, calls } = spyBackend()
  await expect(guardBackend(backend).get('k', options)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  expect(calls).toEqual([])
})

describe('the body of get()', () => {
  const giving = (size: number, ...parts: string[]) =>
    guardBackend(
      spyBackend(
        { get: async (key) => ({ stat: { key, size }, body: chunks(...parts) }) },
        { contract: 1, range: true },
      ).backend,
    )

  test.each([
    ['ends short', ['abc']],
    ['is too long', ['abc', 'de']],
  ])('throws SIZE_MISMATCH if it %s, and is never whole', async (_, parts) => {
    const got: string[] = []
    const { body } = await giving(4, ...parts).get('k')
    const reading = async () => {
      for await (const chunk of body) got.push(Buffer.from(chunk).toString())
    }
    await expect(reading()).rejects.toMatchObject({ code: 'SIZE_MISMATCH' })
    expect(got.join('').length).toBeLessThan(4)
  })

  test('throws CHECKSUM_MISMATCH in place of its last chunk', async () => {
    const { body, verified } = await giving(4, 'ab', 'cd').get('k', { sha256: sha256('abce') })
    const iterator = body[Symbol.asyncIterator]()
    expect(verified).toBe(true)
    expect(Buffer.from((await iterator.next()).value as Uint8Array).toString()).toBe('ab')
    await expect(iterator.next()).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH' })
  })

  test('is verified by the SHA-256 the backend keeps, if none is given', async () => {
    const stat = { key: 'k', size: 2, checksums: { sha256: sha256('xy') } }
    const guard = guardBackend(spyBackend({ get: async () => ({ stat, body: chunks('ab') }) }).backend)
    const { body, verified } = await guard.get('k')
    expect(verified).toBe(true)
    await expect(text(body)).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH' })
  })

  test('of a range is not verified', async () => {
    const { guard } = await holding(BLOB)
    const { body, verified } = await guard.get('k', { offset: 1, sha256: sha256('other') })
    expect([verified, await text(body)]).toEqual([false, BLOB.slice(1)])
  })

  test('of 0 bytes is verified too', async () => {
    const { guard } = await holding('')
    await expect(text((await guard.get('k', { sha256: sha256('a') })).body)).rejects.toMatchObject({
      code: 'CHECKSUM_MISMATCH',
    })
    expect(await text((await guard.get('k', { sha256: sha256('') })).body)).toBe('')
  })

  test('throws what the driver throws, under the configured name', async () => {
    async function* cut() {
      yield Buffer.from('ab')
      throw new StorageError('UNAVAILABLE', { backend: 'memory', op: 'get' })
    }
    const { backend } = spyBackend({ get: async (key) => ({ stat: { key, size: 4 }, body: cut() }) })
    const { body } = await guardBackend(backend, { name: 'mine' }).get('k')
    await expect(text(body)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      at: { backend: 'mine', op: 'get', key: 'k' },
    })
  })
})

/** A body that yields one chunk, then waits forever, and records when it is freed. */
function stalling() {
  let freed = 0
  const steps = [{ done: false as const, value: Buffer.from('ab') }]
  const body: AsyncIterable<Uint8Array> = {
    [Symbol.asyncIterator]: () => ({
      next: () => {
        const step = steps.shift()
        return step === undefined ? new Promise(() => {}) : Promise.resolve(step)
      },
      return: async () => {
        freed += 1
        return { done: true, value: undefined }
      },
    }),
  }
  const { backend } = spyBackend({ get: async (key) => ({ stat: { key, size: 4 }, body }) })
  return { guard: guardBackend(backend), freed: () => freed }
}

describe('leaving a body', () => {
  test('after a chunk frees the driver’s', async () => {
    const { guard, freed } = stalling()
    const controller = new AbortController()
    const { body } = await guard.get('k', { signal: controller.signal })
    for await (const _ of body) break
    expect(freed()).toBe(1)
    expect(getEventListeners(controller.signal, 'abort')).toEqual([])
  })

  test('before the first chunk frees the driver’s', async () => {
    const { guard, freed } = stalling()
    await (await guard.get('k')).body[Symbol.asyncIterator]().return?.()
    expect(freed()).toBe(1)
  })
})

test('1,000 calls with one signal leave no listener on it', async () => {
  const { guard } = await holding(BLOB)
  const { signal } = new AbortController()
  for (let i = 0; i < 250; i += 1) {
    await text((await guard.get('k', { signal })).body)
    await guard.put('k', Buffer.from(BLOB), { signal })
    await guard.stat('k', { signal })
    await guard.get('missing', { signal }).catch((error) => expect(error.code).toBe('NOT_FOUND'))
  }
  expect(getEventListeners(signal, 'abort')).toEqual([])
})

describe('get(), stat() and list() that fail', () => {
  const failing = (times: number, code: StorageErrorCode, retryAfterMs?: number) => {
    let failures = 0
    const fail = () => {
      failures += 1
      if (failures > times) return
      throw new StorageError(code, { op: 'get' }, retryAfterMs === undefined ? {} : { retryAfterMs })
    }
    const { backend } = spyBackend({
      async stat(key) {
        fail()
        return { key, size: 2 }
      },
      async get(key) {
        fail()
        return { stat: { key, size: 2 }, body: chunks('ab') }
      },
      async *list() {
        fail()
        yield { key: 'a', size: 1 }
      },
    })
    const waits: number[] = []
    const delay = async (ms: number) => void waits.push(ms)
    return { guard: guardBackend(backend, { delay, random: () => 0.5 }), waits }
  }

  test('are retried with growing waits', async () => {
    const stat = failing(4, 'UNAVAILABLE')
    await expect(stat.guard.stat('k')).resolves.toMatchObject({ size: 2 })
    expect(stat.waits).toEqual([50, 100, 200, 400])
    expect(await text((await failing(4, 'TIMEOUT').guard.get('k')).body)).toBe('ab')
    expect(await Array.fromAsync(failing(4, 'RATE_LIMITED').guard.list())).toHaveLength(1)
  })

  test('wait at least as long as the backend asks', async () => {
    const { guard, waits } = failing(1, 'RATE_LIMITED', 2000)
    await guard.stat('k')
    expect(waits).toEqual([2050])
  })

  test.each([
    ['more often than the number of retries', 5, 'UNAVAILABLE', undefined, 4],
    ['for good', 1, 'PERMISSION_DENIED', undefined, 0],
    ['with a longer wait than the guard accepts', 1, 'RATE_LIMITED', 3_600_000, 0],
  ] as const)('reject if they fail %s', async (_, times, code, retryAfterMs, tries) => {
    const { guard, waits } = failing(times, code, retryAfterMs)
    await expect(guard.stat('k')).rejects.toMatchObject({ code })
    expect(waits).toHaveLength(tries)
  })

  test('are not retried through withoutRetries(): the first failure is the answer', async () => {
    for (const call of [
      (guard: GuardedBackend) => guard.stat('k'),
      (guard: GuardedBackend) => guard.get('k'),
      (guard: GuardedBackend) => Array.fromAsync(guard.list()),
    ]) {
      const { guard, waits } = failing(1, 'UNAVAILABLE')
      await expect(call(guard.withoutRetries())).rejects.toMatchObject({ code: 'UNAVAILABLE' })
      await call(guard)
      expect(waits).toEqual([])
    }
  })

  test('are still retried by the guard that withoutRetries() was called on', async () => {
    const { guard, waits } = failing(2, 'UNAVAILABLE')
    guard.withoutRetries()
    await guard.stat('k')
    expect(waits).toEqual([50, 100])
  })

  test('put() and delete() are not retried', async () => {
    let calls = 0
    const fail = async () => {
      calls += 1
      throw new StorageError('UNAVAILABLE', { op: 'put' })
    }
    const guard = guardBackend(spyBackend({ put: fail, delete: fail }).backend)
    await expect(guard.put('k', Buffer.from('x'))).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    await expect(guard.delete('k')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(calls).toBe(2)
  })
})

test('has() is false only if the blob is certainly absent', async () => {
  const denied = spyBackend({ stat: async () => Promise.reject(new StorageError('PERMISSION_DENIED', { op: 'stat' })) })
  await expect(guardBackend(denied.backend).has('k')).rejects.toMatchObject({ code: 'PERMISSION_DENIED' })
  const { guard } = await holding(BLOB)
  expect([await guard.has('k'), await guard.has('missing')]).toEqual([true, false])
})
