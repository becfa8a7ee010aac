import { type GuardOptions, guardBackend } from '@stored/core'
import {
  type Capabilities,
  Credential,
  compareKeys,
  type LogEvent,
  type Stat,
  StorageError,
} from '@stored/core/backend'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BARE, spyBackend } from './backends.ts'

/** A backend that lists `keys` in the given order, or sorted, with its own `startAfter` if it declares it. */
function listing(keys: readonly string[], capabilities: Capabilities = BARE, options?: GuardOptions) {
  const state = { yielded: 0, open: 0 }
  const { backend, calls } = spyBackend(
    {
      async *list({ prefix, startAfter }) {
        state.open += 1
        try {
          for (const key of capabilities.order ? [...keys].sort(compareKeys) : keys) {
            if (!key.startsWith(prefix)) continue
            if (capabilities.startAfter && startAfter !== undefined && compareKeys(key, startAfter) <= 0) continue
            state.yielded += 1
            yield { key, size: 1 }
          }
        } finally {
          state.open -= 1
        }
      },
    },
    capabilities,
  )
  return { guard: guardBackend(backend, options), state, calls }
}

const keysOf = async (entries: AsyncIterable<Stat>): Promise<string[]> =>
  (await Array.fromAsync(entries)).map(({ key }) => key)

const DRIVERS: [string, Capabilities][] = [
  ['a driver with order and startAfter', { contract: 1, order: true, startAfter: true }],
  ['a driver with order', { contract: 1, order: true }],
  ['a driver with neither', BARE],
]
const KEYS = ['b/2', 'a', '😀', 'b/1/x', 'b-', 'ｅ', 'b', 'c/1', 'b/1/y']

describe.each(DRIVERS)('list() of %s', (_, capabilities) => {
  test('filters by prefix', async () => {
    const { guard } = listing(KEYS, capabilities)
    expect((await keysOf(guard.list({ prefix: 'b/1' }))).sort()).toEqual(['b/1/x', 'b/1/y'])
  })

  test('sorted is in the order of UTF-8 bytes', async () => {
    const { guard } = listing(KEYS, capabilities)
    const expected = ['a', 'b', 'b-', 'b/1/x', 'b/1/y', 'b/2', 'c/1', 'ｅ', '😀']
    expect(await keysOf(guard.list({ sorted: true }))).toEqual(expected)
  })

  test('folds by delimiter', async () => {
    const { guard } = listing(KEYS, capabilities)
    expect(await keysOf(guard.list({ delimiter: '/', sorted: true }))).toEqual(['a', 'b', 'b-', 'b/', 'c/', 'ｅ', '😀'])
    expect(await Array.fromAsync(guard.list({ prefix: 'b/', delimiter: '/', sorted: true }))).toEqual([
      { key: 'b/1/', size: -1 },
      { key: 'b/2', size: 1 },
    ])
  })

  test('page after page yields every entry once, folded or not', async () => {
    const key = fc
      .array(fc.constantFrom('a', 'b', '-', '0', '/x'), { minLength: 1, maxLength: 4 })
      .map((parts) => parts.join(''))
    const keys = fc.uniqueArray(
      key.filter((text) => !text.startsWith('/')),
      { maxLength: 12 },
    )
    const property = fc.asyncProperty(
      keys,
      fc.boolean(),
      fc.integer({ min: 1, max: 4 }),
      async (all, folded, limit) => {
        const { guard } = listing(all, capabilities)
        const options = { sorted: true, ...(folded && { delimiter: '/' as const }) }
        const whole = await keysOf(guard.list(options))
        const pages: string[] = []
        for (let page = [''], startAfter: string | undefined; page.length > 0; startAfter = page.at(-1)) {
          page = await keysOf(guard.list({ ...options, limit, startAfter }))
          pages.push(...page)
        }
        expect(pages).toEqual(whole)
      },
    )
    await fc.assert(property, { numRuns: 60 })
  })

  test('startAfter need not exist, and may be past the end', async () => {
    const { guard } = listing(KEYS, capabilities)
    expect((await keysOf(guard.list({ startAfter: 'b/1/xx', prefix: 'b/' }))).sort()).toEqual(['b/1/y', 'b/2'])
    expect(await keysOf(guard.list({ startAfter: '\u{10ffff}' }))).toEqual([])
  })

  test('limit ends the driver’s iteration', async () => {
    const { guard, state } = listing(KEYS, capabilities)
    expect(await keysOf(guard.list({ limit: 2 }))).toHaveLength(2)
    expect(state).toEqual({ yielded: 2, open: 0 })
    expect(await keysOf(guard.list({ limit: 0 }))).toEqual([])
  })

  test('ending early ends the driver’s iteration', async () => {
    const { guard, state } = listing(KEYS, capabilities)
    for await (const _ of guard.list()) break
    expect(state.open).toBe(0)
  })
})

test('sorting or folding more than sortLimit unsorted entries is UNSUPPORTED', async () => {
  const keys = ['c/1', 'a/1', 'b/1']
  for (const options of [{ sorted: true }, { delimiter: '/' }] as const) {
    await expect(keysOf(listing(keys, BARE, { sortLimit: 2 }).guard.list(options))).rejects.toMatchObject({
      code: 'UNSUPPORTED',
    })
    expect(await keysOf(listing(keys, BARE, { sortLimit: 3 }).guard.list(options))).toHaveLength(3)
    expect(
      await keysOf(listing(keys, { contract: 1, order: true }, { sortLimit: 2 }).guard.list(options)),
    ).toHaveLength(3)
  }
})

test('the driver sees startAfter only if it declared it', async () => {
  const able = listing(KEYS, { contract: 1, order: true, startAfter: true })
  await keysOf(able.guard.list({ startAfter: 'b', limit: 3 }))
  expect(able.calls[0]?.args).toEqual([{ prefix: '', startAfter: 'b', hint: 3, signal: expect.any(AbortSignal) }])
  const bare = listing(KEYS)
  await keysOf(bare.guard.list({ startAfter: 'b' }))
  expect(bare.calls[0]?.args).toEqual([{ prefix: '', signal: expect.any(AbortSignal) }])
})

test('names that are not keys are left out, and logged', async () => {
  const events: LogEvent[] = []
  const { guard } = listing(['a', 'dir/', 'b\n', '.stored/tmp', 'c'], BARE, { log: (event) => void events.push(event) })
  expect(await keysOf(guard.list())).toEqual(['a', 'c'])
  expect(events.map(({ key }) => key)).toEqual(['dir/', 'b\n', '.stored/tmp'])
})

test('log messages about such names contain no secret and are truncated', async () => {
  const token = 'a token that the server says again'
  await new Credential(token).use(async () => {})
  const events: LogEvent[] = []
  const names = [`${token}/`, `${'x'.repeat(1 << 20)}/`]
  const { guard } = listing(names, BARE, { log: (event) => void events.push(event) })
  expect(await keysOf(guard.list())).toEqual([])
  expect(events.map(({ key }) => key)).toEqual(['***/', expect.stringMatching(/^x+…$/)])
  expect(JSON.stringify(events)).not.toContain(token)
  expect(JSON.stringify(events).length).toBeLessThan(5_000)
})

test('a driver that lists outside the prefix rejects with INTERNAL', async () => {
  const { backend } = spyBackend({
    async *list() {
      yield { key: 'a', size: 1 }
    },
  })
  await expect(keysOf(guardBackend(backend).list({ prefix: 'b' }))).rejects.toMatchObject({ code: 'INTERNAL' })
})

test('a listing that breaks off rejects instead of starting over', async () => {
  let calls = 0
  const { backend } = spyBackend({
    async *list() {
      calls += 1
      yield { key: 'a', size: 1 }
      throw new StorageError('UNAVAILABLE', { op: 'list' })
    },
  })
  await expect(keysOf(guardBackend(backend).list())).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  expect(calls).toBe(1)
})

test.each([{ limit: -1 }, { limit: 1.5 }, { delimiter: '-' }, { prefix: 1 }, { prefix: '\ud800' }, { after: 'a' }])(
  'list(%j) rejects with INVALID_ARGUMENT before the driver is called',
  async (options) => {
    const { guard, calls } = listing(KEYS)
    await expect(keysOf(guard.list(options as object))).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    expect(calls).toEqual([])
  },
)

test('an abort in the middle of a listing rejects with ABORTED and ends the driver’s iteration', async () => {
  const controller = new AbortController()
  const { guard, state } = listing(KEYS)
  const entries = guard.list({ signal: controller.signal })
  await entries.next()
  controller.abort()
  await expect(entries.next()).rejects.toMatchObject({ code: 'ABORTED' })
  expect(state.open).toBe(0)
})
