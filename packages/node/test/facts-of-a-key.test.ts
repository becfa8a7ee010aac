import { dumpOf } from '@stored/testing/rows/dump'
import { checkRows } from '@stored/testing/rows/row-check'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { A, at, B, ID_A, idKeyOf, openWorld } from './plans/world.ts'

const bytesOf = { a: A, b: B }
const key = fc.constantFrom('k', 'l', 'm')
const backends = fc.subarray(['x', 'y', 's'], { minLength: 1 })
const step = fc.oneof(
  fc.record({
    kind: fc.constant('put' as const),
    key,
    blob: fc.constantFrom('a' as const, 'b' as const),
    backends,
    mimeType: fc.option(fc.constantFrom('text/x', 'text/y'), { nil: undefined }),
    metadata: fc.dictionary(fc.constantFrom('m', 'n'), fc.option(fc.nat(3))),
    replaceMetadata: fc.boolean(),
  }),
  fc.record({ kind: fc.constant('delete' as const), key }),
  fc.record({ kind: fc.constant('drop' as const), key, backends }),
)

describe('a key', () => {
  test('shows what its own calls said, whatever is done to other keys of the same bytes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        await using world = await openWorld()
        const { store } = world
        for (const { key, ...one } of steps) {
          const others = ['k', 'l', 'm'].filter((other) => other !== key)
          const before = await Promise.all(others.map((other) => store.stat(other)))
          const { kind, ...given } = one
          if (kind === 'delete') await store.delete(key)
          else if (kind === 'drop') await store.delete(key, given).catch(() => {})
          else {
            const { blob, mimeType, ...options } = one as Extract<typeof one, { kind: 'put' }>
            await store.put(bytesOf[blob], {
              key,
              backends: options.backends,
              metadata: options.metadata,
              replaceMetadata: options.replaceMetadata,
              ...(mimeType && { mimeType }),
            })
          }
          for (const [i, other] of others.entries()) {
            const after = await store.stat(other)
            // Copies that keys share are shown for each of them; which of them it has for itself no other key changes.
            const own = (record: typeof after) =>
              record && { ...record, locations: record.locations.filter((l) => !l.shared) }
            expect(own(after)).toEqual(own(before[i] ?? null))
          }
        }
      }),
      { numRuns: 40 },
    )
  })

  test('that wants a shared copy keeps it when other keys go, and others keep theirs', async () => {
    await using world = await openWorld()
    const { store } = world
    await store.put(A, { key: 'k', backends: ['s'] })
    await store.put(A, { key: 'l', backends: ['x', 's'] })
    await store.put(A, { key: 'm', backends: ['x'] })
    const shared = async () => (await store.stat(ID_A))?.locations.filter((one) => one.shared).length
    await store.delete('k')
    expect(await shared()).toBe(1)
    await store.delete('l')
    expect(await shared()).toBe(0)
    expect(await store.stat('m')).not.toBeNull()
  })

  test.each(['synced', 'pending', 'failed', 'conflict', 'missing', 'corrupt', 'unknown'] as const)(
    'whose own copy, %s, another key came to share keeps it when that key goes',
    async (state) => {
      await using world = await openWorld()
      const { store, ledger } = world
      const key = idKeyOf(ID_A)
      // As an earlier layout left it.
      await world.given(ID_A, [key], at(ID_A, 's', key, state, { holds: { id: ID_A } }))
      await store.put(A, { key: 'other', backends: ['s'] })
      const shared = await world.row('s', key)
      expect(shared).toMatchObject({ shared: true })
      const violations = checkRows(dumpOf(ledger)).violations.map((one) => JSON.stringify(one))
      expect(violations.filter((one) => one.includes('wants'))).toEqual([])
      await store.delete('other')
      expect(await world.row('s', key)).toEqual(shared)
    },
  )

  test('has another version only once something of it changed: not by a deletion of copies that it does not want', async () => {
    await using world = await openWorld()
    const { store } = world
    await store.put(A, { key: 'k', backends: ['x'] })
    await store.put(A, { key: 'l', backends: ['x', 'y'] })
    const before = await Promise.all(['k', 'l'].map((key) => store.stat(key)))
    await store.delete(ID_A, { backends: ['y'] })
    expect(await store.stat('k')).toEqual(before[0])
    expect((await store.stat('l'))?.version).not.toBe(before[1]?.version)
  })

  test('is none of a blob that an earlier version left without any: copies of that are dropped all the same', async () => {
    await using world = await openWorld()
    const copies = ['s', 'x'].map((backend) =>
      at(ID_A, backend, idKeyOf(ID_A), 'synced', { shared: true, holds: { id: ID_A } }),
    )
    await world.given(ID_A, [], ...copies)
    expect(await world.store.delete(ID_A, { backends: ['x'] })).toEqual({ deleted: [], pending: ['x'] })
    await expect(world.store.delete(ID_A, { backends: ['s'] })).rejects.toMatchObject({ code: 'PRECONDITION_FAILED' })
  })

  test('is matched by what ifMatch was when put, link or delete was called', async () => {
    await using world = await openWorld()
    const { store } = world
    const { version } = await store.put(A, { key: 'k' })
    const calls = [
      (ifMatch: { version: string }) => store.put(B, { key: 'k', ifMatch }),
      (ifMatch: { version: string }) => store.link('k', ID_A, { ifMatch }),
      (ifMatch: { version: string }) => store.delete('k', { ifMatch }),
    ]
    for (const call of calls) {
      const ifMatch = { version: 'former' }
      const called = call(ifMatch)
      ifMatch.version = version
      await expect(called).rejects.toMatchObject({ code: 'PRECONDITION_FAILED' })
    }
  })

  test('loses fields that are null, and with replaceMetadata all that are not named', async () => {
    await using world = await openWorld()
    const put = (options: object) => world.store.put(A, { key: 'k', ...options })
    await put({ metadata: { a: 1, b: 2, c: null } })
    expect((await put({ metadata: { a: null } })).custom).toEqual({ b: 2 })
    expect((await put({ metadata: { d: 4 }, replaceMetadata: true })).custom).toEqual({ d: 4 })
    expect((await put({})).custom).toEqual({ d: 4 })
  })

  test('bound to other bytes keeps when it was bound, and begins without fields', async () => {
    await using world = await openWorld()
    const { created } = await world.store.put(A, { key: 'k', metadata: { a: 1 }, mimeType: 'text/x' })
    expect(await world.store.put(B, { key: 'k' })).toMatchObject({ created, custom: {}, mimeType: 'text/plain' })
  })

  test('is changed by ifMatch with its version only while that is its version', async () => {
    await using world = await openWorld()
    const { version } = await world.store.put(A, { key: 'k' })
    expect((await world.store.stat('k'))?.version).toBe(version)
    const next = await world.store.put(B, { key: 'k', ifMatch: { version } })
    const refused = { code: 'PRECONDITION_FAILED' }
    await expect(world.store.put(A, { key: 'k', ifMatch: { version } })).rejects.toMatchObject(refused)
    await expect(world.store.delete('k', { ifMatch: { version } })).rejects.toMatchObject(refused)
    await expect(world.store.delete(ID_A, { ifMatch: ID_A })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    expect(await world.store.delete('k', { ifMatch: next })).toMatchObject({ deleted: ['k'] })
  })

  test('of a package is neither listed, put nor deleted by callers', async () => {
    await using world = await openWorld()
    const { store, index } = world
    await store.put(A, { key: 'k' })
    await world.commit((tx) => {
      const bound = index.binding(tx, 'k')
      if (bound) index.bind(tx, { ...bound, owner: 'objects' })
    })
    expect(await Array.fromAsync(store.list())).toEqual([])
    expect(await Array.fromAsync(store.list({ internal: true }))).toMatchObject([{ key: 'k', owner: 'objects' }])
    await expect(store.put(B, { key: 'k' })).rejects.toMatchObject({ code: 'INVALID_KEY' })
    await expect(store.delete('k')).rejects.toMatchObject({ code: 'INVALID_KEY' })
    await expect(store.delete(ID_A)).rejects.toMatchObject({ code: 'PRECONDITION_FAILED' })
  })
})
