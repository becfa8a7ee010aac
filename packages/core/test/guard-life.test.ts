import { getEventListeners } from 'node:events'
import { guardBackend } from '@stored/core'
import { type Capabilities, type LogEvent, type OpenContext, StorageError } from '@stored/core/backend'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { BARE, chunks, deaf, spyBackend, text, untilAborted } from './backends.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }))
afterEach(() => void vi.useRealTimers())

/** Lets everything run that needs no timer. */
const settle = () => new Promise((resolve) => setImmediate(resolve))

/** The state of `promise`, for promises that settle only when timers advance. */
function outcome<T>(promise: Promise<T>): { value?: T; error?: unknown; settled: boolean } {
  const result: { value?: T; error?: unknown; settled: boolean } = { settled: false }
  promise.then(
    (value) => Object.assign(result, { value, settled: true }),
    (error) => Object.assign(result, { error, settled: true }),
  )
  return result
}

describe('a driver that stalls', () => {
  test('is aborted with TIMEOUT after idleTimeoutMs', async () => {
    const { backend } = spyBackend({ stat: (_, { signal }) => untilAborted(signal) })
    const result = outcome(guardBackend(backend, { idleTimeoutMs: 1000 }).stat('k'))
    await vi.advanceTimersByTimeAsync(999)
    expect(result.settled).toBe(false)
    await vi.advanceTimersByTimeAsync(1)
    expect(result.error).toMatchObject({ code: 'TIMEOUT', retryable: true, ambiguous: false })
    expect(vi.getTimerCount()).toBe(0)
  })

  test('and ignores the abort is abandoned 2 s later, with a warning', async () => {
    const events: LogEvent[] = []
    const { backend } = spyBackend({ put: deaf })
    const guard = guardBackend(backend, { idleTimeoutMs: 1000, log: (event) => void events.push(event) })
    const result = outcome(guard.put('k', Buffer.from('x')))
    await vi.advanceTimersByTimeAsync(2999)
    expect(result.settled).toBe(false)
    await vi.advanceTimersByTimeAsync(1)
    expect(result.error).toMatchObject({ code: 'TIMEOUT', ambiguous: true })
    expect(events).toMatchObject([{ level: 'warn', key: 'k' }])
    expect(vi.getTimerCount()).toBe(0)
  })

  test('in the middle of a body is aborted with TIMEOUT', async () => {
    const { backend } = spyBackend({
      async get(key, { signal }) {
        async function* body() {
          yield Buffer.from('ab')
          await untilAborted(signal)
        }
        return { stat: { key, size: 4 }, body: body() }
      },
    })
    const { body } = await guardBackend(backend, { idleTimeoutMs: 1000 }).get('k')
    const result = outcome(text(body))
    await vi.advanceTimersByTimeAsync(1000)
    expect(result.error).toMatchObject({ code: 'TIMEOUT' })
  })

  test('while it opens fails the operation, and the next one opens it again', async () => {
    let opens = 0
    const { backend } = spyBackend({
      async open({ signal }: OpenContext) {
        opens += 1
        if (opens === 1) await untilAborted(signal as AbortSignal)
      },
    })
    const guard = guardBackend(backend, { idleTimeoutMs: 1000 })
    const result = outcome(guard.stat('k'))
    await vi.advanceTimersByTimeAsync(1000)
    expect(result.error).toMatchObject({ code: 'TIMEOUT', at: { op: 'open' } })
    await expect(guard.stat('k')).resolves.toBeNull()
  })
})

describe('what is not a stall:', () => {
  test('a trickle of bytes, however long it takes', async () => {
    const { backend } = spyBackend()
    async function* trickle() {
      for (let i = 0; i < 10; i += 1) {
        await new Promise((resolve) => setTimeout(resolve, 900))
        yield Buffer.from('x')
      }
    }
    const result = outcome(guardBackend(backend, { idleTimeoutMs: 1000 }).put('k', trickle()))
    await vi.advanceTimersByTimeAsync(9000)
    expect(result.value).toMatchObject({ size: 10 })
  })

  test('a driver that reports what it sent', async () => {
    const { backend } = spyBackend({
      async put(key, body, { onSent }) {
        const { length } = await text(body)
        for (let i = 1; i <= 3; i += 1) {
          await new Promise((resolve) => setTimeout(resolve, 900))
          onSent?.(i)
        }
        return { key, size: length }
      },
    })
    const result = outcome(guardBackend(backend, { idleTimeoutMs: 1000 }).put('k', chunks('abc')))
    await vi.advanceTimersByTimeAsync(2700)
    expect(result.value).toMatchObject({ size: 3 })
  })

  test('a slow reader', async () => {
    const guard = guardBackend(spyBackend().backend, { idleTimeoutMs: 1000 })
    await guard.put('k', Buffer.alloc(200_000))
    const iterator = (await guard.get('k')).body[Symbol.asyncIterator]()
    await iterator.next()
    await vi.advanceTimersByTimeAsync(60_000)
    await expect(iterator.next()).resolves.toMatchObject({ done: false })
  })

  test('a watch without changes', async () => {
    const guard = guardBackend(spyBackend().backend, { idleTimeoutMs: 1000 })
    const events = guard.watch()
    const first = events.next()
    await vi.advanceTimersByTimeAsync(60_000)
    await guard.put('k', Buffer.from('x'))
    await expect(first).resolves.toEqual({ done: false, value: { type: 'put', key: 'k' } })
    await events.return?.()
  })

  test('waiting for a slot', async () => {
    const { backend } = spyBackend(
      { stat: (key) => new Promise((resolve) => setTimeout(resolve, 900, { key, size: 1 })) },
      { contract: 1, limits: { maxConcurrent: 1 } },
    )
    const guard = guardBackend(backend, { idleTimeoutMs: 1000 })
    const results = [1, 2, 3].map(() => outcome(guard.stat('k')))
    await vi.advanceTimersByTimeAsync(2700)
    expect(results.every(({ value }) => value?.size === 1)).toBe(true)
  })
})

describe('an abort', () => {
  test.each(['stat', 'delete', 'get'] as const)(
    'of %s() rejects with ABORTED, the reason as its cause',
    async (method) => {
      const { backend } = spyBackend({
        stat: (_, { signal }) => untilAborted(signal),
        delete: (_, { signal }) => untilAborted(signal),
        get: (_, { signal }) => untilAborted(signal),
      })
      const controller = new AbortController()
      const result = outcome<unknown>(guardBackend(backend)[method]('k', { signal: controller.signal }))
      await settle()
      const reason = new Error('enough')
      controller.abort(reason)
      await settle()
      expect(result.error).toMatchObject({ code: 'ABORTED', name: 'AbortError', cause: reason })
      expect(getEventListeners(controller.signal, 'abort')).toEqual([])
    },
  )

  test('of a driver that ignores it rejects 2 s later, and frees what arrives too late', async () => {
    let freed = false
    let answer: (() => void) | undefined
    async function* body() {}
    const late = Object.assign(body(), {
      return: async () => {
        freed = true
        return { done: true as const, value: undefined }
      },
    })
    const { backend } = spyBackend({
      get: (key) =>
        new Promise((resolve) => {
          answer = () => resolve({ stat: { key, size: 0 }, body: late })
        }),
    })
    const controller = new AbortController()
    const result = outcome(guardBackend(backend).get('k', { signal: controller.signal }))
    await settle()
    controller.abort()
    await vi.advanceTimersByTimeAsync(2000)
    expect(result.error).toMatchObject({ code: 'ABORTED' })
    answer?.()
    await settle()
    expect(freed).toBe(true)
  })

  test('between two attempts ends the wait', async () => {
    const { backend } = spyBackend({
      stat: async () => Promise.reject(new StorageError('UNAVAILABLE', { op: 'stat' })),
    })
    const controller = new AbortController()
    const guard = guardBackend(backend, { delay: deaf })
    const result = outcome(guard.stat('k', { signal: controller.signal }))
    await settle()
    expect(result.settled).toBe(false)
    controller.abort()
    await settle()
    expect(result.error).toMatchObject({ code: 'ABORTED' })
  })

  test('of one operation that waits for the backend to open leaves the others waiting', async () => {
    const opened = Promise.withResolvers<void>()
    const guard = guardBackend(spyBackend({ open: () => opened.promise }).backend)
    const controller = new AbortController()
    const one = outcome(guard.stat('k', { signal: controller.signal }))
    const other = outcome(guard.stat('k'))
    await settle()
    controller.abort()
    await settle()
    expect([one.error, other.settled]).toMatchObject([{ code: 'ABORTED' }, false])
    opened.resolve()
    await settle()
    expect(other.value).toBeNull()
  })
})

describe('open()', () => {
  test('opens the driver once, whoever asks first', async () => {
    const { backend, calls } = spyBackend({ open: async () => {} })
    const guard = guardBackend(backend)
    await Promise.all([guard.stat('a'), guard.open(), guard.put('b', chunks('x')), guard.stat('c')])
    await guard.open()
    expect(calls.filter(({ method }) => method === 'open')).toHaveLength(1)
    expect(calls[0]?.method).toBe('open')
  })

  test('that failed is tried again by the next operation', async () => {
    let opens = 0
    const open = async () => {
      opens += 1
      if (opens === 1) throw new StorageError('UNAUTHENTICATED', { op: 'open' })
    }
    const guard = guardBackend(spyBackend({ open }).backend)
    await expect(guard.stat('k')).rejects.toMatchObject({ code: 'UNAUTHENTICATED' })
    await expect(guard.stat('k')).resolves.toBeNull()
  })
})

describe('close()', () => {
  test('ends what is in progress with CLOSED before it closes the driver', async () => {
    const order: string[] = []
    const { backend } = spyBackend({
      stat: (_, { signal }) => untilAborted(signal).finally(() => order.push('stat')),
      close: async () => void order.push('close'),
    })
    const guard = guardBackend(backend)
    const result = outcome(guard.stat('k'))
    await settle()
    await guard.close()
    await settle()
    expect(result.error).toMatchObject({ code: 'CLOSED' })
    expect(order).toEqual(['stat', 'close'])
  })

  test('is safe to repeat; later calls reject with CLOSED', async () => {
    const { backend, calls } = spyBackend()
    const guard = guardBackend(backend)
    await Promise.all([guard.close(), guard.close()])
    await guard[Symbol.asyncDispose]()
    expect(calls.map(({ method }) => method)).toEqual(['close'])
    const late = [
      guard.put('k', chunks('x')),
      guard.get('k'),
      guard.stat('k'),
      guard.has('k'),
      guard.delete('k'),
      guard.list().next(),
      guard.copy('a', 'b'),
      guard.deleteMany(['a']),
      guard.signedUrl('k', { method: 'GET', expiresMs: 1 }),
      guard.watch().next(),
      guard.sweep({ olderThanMs: 0 }),
      guard.open(),
    ]
    for (const result of await Promise.allSettled(late)) expect(result).toMatchObject({ reason: { code: 'CLOSED' } })
  })

  test('does not wait for an abandoned body, which then throws CLOSED', async () => {
    const guard = guardBackend(spyBackend().backend)
    await guard.put('k', Buffer.alloc(200_000))
    const iterator = (await guard.get('k')).body[Symbol.asyncIterator]()
    await iterator.next()
    await guard.close()
    await expect(iterator.next()).rejects.toMatchObject({ code: 'CLOSED' })
  })

  test('ends while a driver hangs', async () => {
    const result = outcome(guardBackend(spyBackend({ close: deaf }).backend).close())
    await vi.advanceTimersByTimeAsync(7000)
    expect(result.error).toMatchObject({ code: 'TIMEOUT', at: { op: 'close' } })
  })
})

describe('withoutRetries()', () => {
  test('is the same backend: same name, opened once, and closed with the other', async () => {
    const { backend, calls } = spyBackend({ open: async () => {} })
    const guard = guardBackend(backend, { name: 'mine' })
    const once = guard.withoutRetries()
    await once.put('k', chunks('x'))
    expect(await guard.stat('k')).toMatchObject({ size: 1 })
    expect([once.name, once.driver, once.capabilities]).toEqual(['mine', 'memory', guard.capabilities])
    await guard.close()
    await expect(once.stat('k')).rejects.toMatchObject({ code: 'CLOSED', at: { backend: 'mine' } })
    expect(calls.map(({ method }) => method).filter((method) => method === 'open' || method === 'close')).toEqual([
      'open',
      'close',
    ])
  })

  test('is watched for stalls like the other', async () => {
    const { backend } = spyBackend({ stat: (_, { signal }) => untilAborted(signal) })
    const result = outcome(guardBackend(backend, { idleTimeoutMs: 1000 }).withoutRetries().stat('k'))
    await vi.advanceTimersByTimeAsync(1000)
    expect(result.error).toMatchObject({ code: 'TIMEOUT' })
  })

  test('shares the slots of limits.maxConcurrent', async () => {
    const gate = Promise.withResolvers<void>()
    const begun: string[] = []
    const { backend } = spyBackend(
      {
        async stat(key) {
          begun.push(key)
          await gate.promise
          return { key, size: 1 }
        },
      },
      { contract: 1, limits: { maxConcurrent: 1 } },
    )
    const guard = guardBackend(backend)
    const both = [guard.stat('a'), guard.withoutRetries().stat('b')]
    await settle()
    expect(begun).toEqual(['a'])
    gate.resolve()
    await Promise.all(both)
    expect(begun).toEqual(['a', 'b'])
  })
})

describe('limits.maxConcurrent', () => {
  const two: Capabilities = { contract: 1, limits: { maxConcurrent: 2 } }

  test('is never exceeded, and every operation gets its turn', async () => {
    let running = 0
    let most = 0
    const { backend } = spyBackend(
      {
        async stat(key) {
          running += 1
          most = Math.max(most, running)
          await settle()
          running -= 1
          return { key, size: 1 }
        },
      },
      two,
    )
    const guard = guardBackend(backend)
    const stats = await Promise.all(Array.from({ length: 20 }, (_, i) => guard.stat(`k${i}`)))
    expect([most, stats.length]).toEqual([2, 20])
  })

  test('takes no slot for an operation that was aborted while it waited', async () => {
    const gates: (() => void)[] = []
    const { backend } = spyBackend(
      { stat: (key) => new Promise((resolve) => gates.push(() => resolve({ key, size: 1 }))) },
      { contract: 1, limits: { maxConcurrent: 1 } },
    )
    const guard = guardBackend(backend)
    const controller = new AbortController()
    const first = guard.stat('a')
    const aborted = outcome(guard.stat('b', { signal: controller.signal }))
    const last = guard.stat('c')
    await settle()
    controller.abort()
    await settle()
    expect(aborted.error).toMatchObject({ code: 'ABORTED' })
    gates[0]?.()
    await first
    await settle()
    gates[1]?.()
    await expect(last).resolves.toMatchObject({ key: 'c' })
  })

  test('does not block a put whose source is the body of another blob', async () => {
    const guard = guardBackend(spyBackend({}, { contract: 1, limits: { maxConcurrent: 1 } }).backend)
    await guard.put('a', Buffer.alloc(200_000, 1))
    await expect(guard.copy('a', 'b')).resolves.toMatchObject({ key: 'b', size: 200_000 })
  })
})

describe('what a driver has not declared', () => {
  test('is refused, and the driver is not called', async () => {
    const { backend, calls } = spyBackend({}, BARE)
    const guard = guardBackend(backend)
    const refused = [
      guard.put('k', Buffer.from('x'), { ifAbsent: true }),
      guard.get('k', { ifMatch: 'e' }),
      guard.delete('k', { ifMatch: 'e' }),
      guard.signedUrl('k', { method: 'GET', expiresMs: 1000 }),
      guard.watch().next(),
      guard.sweep({ olderThanMs: 0 }),
    ]
    for (const result of await Promise.allSettled(refused))
      expect(result).toMatchObject({ reason: { code: 'UNSUPPORTED' } })
    expect(calls).toEqual([])
  })

  test('copy() is a get and a put; deleteMany() deletes one by one and returns the failures', async () => {
    const denied = new StorageError('PERMISSION_DENIED', { op: 'delete', key: 'b' })
    const { backend, calls } = spyBackend(
      {
        async delete(key) {
          if (key === 'b') throw denied
        },
      },
      BARE,
    )
    const guard = guardBackend(backend)
    await guard.put('a', Buffer.from('bytes'))
    await guard.copy('a', 'z')
    expect(await text((await guard.get('z')).body)).toBe('bytes')
    await expect(guard.copy('missing', 'z')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    const failures = await guard.deleteMany(['a', 'b', 'c'])
    expect([...failures.keys()]).toEqual(['b'])
    expect(calls.map(({ method }) => method)).not.toContain('copy')
    expect(calls.filter(({ method }) => method === 'delete').map(({ args }) => args[0])).toEqual(['a', 'b', 'c'])
  })

  test('if declared but not implemented, is INTERNAL', async () => {
    const guard = guardBackend(spyBackend({ sweep: undefined } as object).backend)
    await expect(guard.sweep({ olderThanMs: 0 })).rejects.toMatchObject({ code: 'INTERNAL' })
  })
})

test('what a driver has declared reaches it', async () => {
  const { backend, calls } = spyBackend()
  const guard = guardBackend(backend)
  const { etag } = await guard.put('a', Buffer.from('x'), { ifAbsent: true })
  await guard.put('a', Buffer.from('y'), { ifMatch: etag })
  await expect(guard.put('a', Buffer.from('z'), { ifMatch: etag })).rejects.toMatchObject({
    code: 'PRECONDITION_FAILED',
  })
  await guard.copy('a', 'b')
  await guard.deleteMany(['a', 'b'])
  await guard.signedUrl('c', { method: 'GET', expiresMs: 1000 }).catch((error) => expect(error.code).toBe('NOT_FOUND'))
  await guard.sweep({ olderThanMs: 5 })
  expect(calls.map(({ method }) => method)).toEqual(['put', 'put', 'put', 'copy', 'deleteMany', 'signedUrl', 'sweep'])
})

test.each([
  [
    'signedUrl',
    (guard: ReturnType<typeof guardBackend>) => guard.signedUrl('k', { method: 'POST', expiresMs: 1 } as never),
  ],
  ['signedUrl', (guard: ReturnType<typeof guardBackend>) => guard.signedUrl('k', { method: 'GET' } as never)],
  ['sweep', (guard: ReturnType<typeof guardBackend>) => guard.sweep({ olderThanMs: -1 })],
  ['stat', (guard: ReturnType<typeof guardBackend>) => guard.stat('k', { signal: {} } as never)],
])('%s() with a bad option rejects with INVALID_ARGUMENT', async (_, call) => {
  const { backend, calls } = spyBackend()
  await expect(call(guardBackend(backend))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  expect(calls).toEqual([])
})

describe('a medium that is remembered', () => {
  const remembering = (medium: string | null) => {
    const memory = {
      medium,
      known: async () => memory.medium,
      remember: async (found: string) => {
        memory.medium = found
      },
    }
    return memory
  }
  const named = (medium: string) => {
    const seen: (string | undefined)[] = []
    const { backend } = spyBackend({ open: async (context: OpenContext) => void seen.push(context.medium) })
    return { seen, backend: Object.defineProperty(backend, 'medium', { value: medium }) }
  }

  test('is saved on first opening, and passed to the driver from then on', async () => {
    const memory = remembering(null)
    const first = named('disk-1')
    await guardBackend(first.backend, { medium: memory }).open()
    expect(memory.medium).toBe('disk-1')
    expect(first.seen).toEqual([undefined])
    const second = named('disk-1')
    await guardBackend(second.backend, { medium: memory }).open()
    expect(second.seen).toEqual(['disk-1'])
  })

  test('and another in its place rejects each call with MISCONFIGURED, and stays remembered', async () => {
    const memory = remembering('disk-1')
    const guard = guardBackend(named('disk-2').backend, { medium: memory })
    await expect(guard.open()).rejects.toMatchObject({ code: 'MISCONFIGURED' })
    await expect(guard.stat('k')).rejects.toMatchObject({ code: 'MISCONFIGURED' })
    expect(memory.medium).toBe('disk-1')
  })
})
