import { owes, type Place, type Standing } from '@stored/core'
import { compareKeys } from '@stored/core/backend'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Current, collect, commit, factsOf, idOf, locationOf, NEVER } from './subject.ts'

const A = idOf('a')
const B = idOf('b')
/** In the order of their bytes in UTF-8; JavaScript's own order swaps the last two. */
const SORTED = ['a', 'a b', 'a/b', 'a/c', 'ab', 'ä', '～', '😀']

export function indexSuite(current: Current): void {
  const bind = (...pairs: [key: string, text: string][]) =>
    commit(current(), (tx) => {
      for (const [key, text] of pairs) current().index.bind(tx, key, idOf(text))
    })
  const unbind = (key: string) => commit(current(), (tx) => current().index.unbind(tx, key))
  const locate = (...all: Parameters<typeof locationOf>[]) =>
    commit(current(), (tx) => {
      for (const one of all) current().index.locate(tx, locationOf(...one))
    })
  const keep = (text: string) => commit(current(), (tx) => current().index.keep(tx, factsOf(text)))
  const keys = (text: string) => collect(current().index.keys(idOf(text)))
  const bindings = async (o: { prefix?: string; after?: string } = {}) =>
    (await collect(current().index.bindings({ ...o, signal: NEVER }))).map(({ key }) => key)
  const located = async (backend: string, o: { prefix?: string; after?: string } = {}) =>
    (await collect(current().index.located({ backend, ...o, signal: NEVER }))).map(({ key }) => key)

  describe('bind()', () => {
    test('of a new key: it has this blob, and the blob this key', async () => {
      await bind(['k', 'a'])
      expect(await current().index.binding('k')).toEqual({ key: 'k', id: A, rev: expect.any(String) })
      expect(await keys('a')).toEqual(['k'])
    })

    test('of a bound key takes it from the former blob', async () => {
      await bind(['k', 'a'], ['other', 'a'])
      await bind(['k', 'b'])
      expect(await current().index.binding('k')).toMatchObject({ id: B })
      expect(await keys('a')).toEqual(['other'])
      expect(await keys('b')).toEqual(['k'])
    })

    test('of a key to the blob it has changes nothing but its revision', async () => {
      await bind(['k', 'a'])
      const before = await current().index.binding('k')
      await bind(['k', 'a'])
      const after = await current().index.binding('k')
      expect(after).toMatchObject({ key: 'k', id: A })
      expect(after?.rev).not.toBe(before?.rev)
      expect(await keys('a')).toEqual(['k'])
    })

    test('of the longest key to a blob on a backend with the longest name', async () => {
      const place = { backend: 'b'.repeat(64), key: '😀'.repeat(256) }
      await bind([place.key, 'a'])
      await keep('a')
      await locate(['a', place.backend, place.key])
      expect(await current().index.binding(place.key)).toMatchObject({ id: A })
      expect(await current().index.location(place)).toMatchObject(place)
      expect((await current().index.known(A))?.locations).toMatchObject([place])
    })
  })

  describe('unbind()', () => {
    test('of a bound key: neither key nor blob know of each other', async () => {
      await bind(['k', 'a'], ['l', 'a'])
      await unbind('k')
      expect(await current().index.binding('k')).toBeNull()
      expect(await keys('a')).toEqual(['l'])
    })

    test('of a key that is not bound does nothing', async () => {
      await unbind('k')
      expect(await bindings()).toEqual([])
    })
  })

  describe('keys()', () => {
    test('of a blob are its own, in UTF-8 order', async () => {
      await bind(...[...SORTED].reverse().map((key): [string, string] => [key, 'a']), ['z', 'b'])
      expect(await keys('a')).toEqual(SORTED)
    })

    test('of an unknown blob are none', async () => {
      expect(await keys('a')).toEqual([])
    })
  })

  describe('bindings()', () => {
    test('come in UTF-8 order of their keys, each with its blob and revision', async () => {
      await bind(...[...SORTED].reverse().map((key): [string, string] => [key, key]))
      const all = await collect(current().index.bindings({ signal: NEVER }))
      expect(all.map(({ key }) => key)).toEqual(SORTED)
      expect(SORTED).toEqual([...SORTED].sort(compareKeys))
      for (const binding of all) expect(binding).toEqual(await current().index.binding(binding.key))
    })

    test('show nothing of places and jobs at the same keys', async () => {
      await locate(['a', 'x', 'k'])
      await commit(current(), (tx) =>
        current().queue.enqueue(tx, { op: 'put', backend: 'x', key: 'k', id: A, size: 1 }),
      )
      expect(await bindings()).toEqual([])
    })

    test('with a prefix are those that begin with it, whatever follows', async () => {
      await bind(...SORTED.map((key): [string, string] => [key, 'a']))
      expect(await bindings({ prefix: 'a' })).toEqual(['a', 'a b', 'a/b', 'a/c', 'ab'])
      expect(await bindings({ prefix: 'a/' })).toEqual(['a/b', 'a/c'])
      expect(await bindings({ prefix: '～' })).toEqual(['～'])
      expect(await bindings({ prefix: 'none' })).toEqual([])
    })

    test('with `after` are those that sort behind it, bound or not', async () => {
      await bind(...SORTED.map((key): [string, string] => [key, 'a']))
      for (const [i, key] of SORTED.entries()) expect(await bindings({ after: key })).toEqual(SORTED.slice(i + 1))
      expect(await bindings({ after: 'a/bb' })).toEqual(['a/c', 'ab', 'ä', '～', '😀'])
    })

    test('with prefix and `after` obey both, also when `after` lies outside', async () => {
      await bind(...SORTED.map((key): [string, string] => [key, 'a']))
      expect(await bindings({ prefix: 'a/', after: 'a/b' })).toEqual(['a/c'])
      expect(await bindings({ prefix: 'a/', after: 'A' })).toEqual(['a/b', 'a/c'])
      expect(await bindings({ prefix: 'a/', after: 'z' })).toEqual([])
    })

    test('of more than a page come all, once', async () => {
      const many = Array.from({ length: 1203 }, (_, i) => `k${String(i).padStart(5, '0')}`)
      await bind(...many.map((key): [string, string] => [key, 'a']))
      expect(await bindings()).toEqual(many)
    })

    test('whose signal is aborted half-way reject with its reason', async () => {
      await bind(['k', 'a'], ['l', 'a'])
      const abort = new AbortController()
      const reason = new Error('enough')
      const reading = async () => {
        for await (const _ of current().index.bindings({ signal: abort.signal })) abort.abort(reason)
      }
      await expect(reading()).rejects.toBe(reason)
    })
  })

  describe('known()', () => {
    test('of a kept blob: its facts, as they were given', async () => {
      const facts = factsOf('a', { custom: { nested: { n: [1, null] }, π: '😀' }, mimeType: 'image/png' })
      await commit(current(), (tx) => current().index.keep(tx, facts))
      expect(await current().index.known(A)).toEqual({
        facts,
        locations: [],
        rev: expect.any(String),
        factsRev: expect.any(String),
      })
    })

    test('of an unknown blob, and of a forgotten one, is null', async () => {
      expect(await current().index.known(A)).toBeNull()
      await keep('a')
      await commit(current(), (tx) => current().index.forget(tx, A))
      expect(await current().index.known(A)).toBeNull()
    })

    test('of a forgotten blob with a place being cleaned is null; the place is there', async () => {
      await keep('a')
      await locate(['a', 'x', 'k', { state: 'deleting' }])
      await commit(current(), (tx) => current().index.forget(tx, A))
      expect(await current().index.known(A)).toBeNull()
      expect(await current().index.location({ backend: 'x', key: 'k' })).toMatchObject({ state: 'deleting' })
    })

    test('holds all places of the blob, each with all that is known of it', async () => {
      const holds = { id: B, etag: '"1"' }
      const error = { code: 'TIMEOUT' as const, message: 'too late' }
      const places = [
        locationOf('a', 'x', 'k', { state: 'synced', holds, verified: 7 }),
        locationOf('a', 'x', 'l', { state: 'failed', error }),
        locationOf('a', 'y', 'k', { shared: true }),
      ]
      await keep('a')
      await commit(current(), (tx) => {
        for (const place of places) current().index.locate(tx, place)
      })
      const known = await current().index.known(A)
      expect(known?.locations).toEqual(places.map((place) => ({ ...place, rev: expect.any(String) })))
    })

    test.for([
      ['its facts are kept again', () => keep('a')],
      ['a place is added', () => locate(['a', 'y', 'k'])],
      ['a place is written again', () => locate(['a', 'x', 'k'])],
      ['the later of two places is written again', () => locate(['a', 'x', 'l', { state: 'synced' }])],
      ['a place is removed', () => commit(current(), (tx) => current().index.unlocate(tx, { backend: 'x', key: 'k' }))],
      ['a place goes to another blob', () => locate(['b', 'x', 'k'])],
    ] as [string, () => Promise<unknown>][])('has another revision when %s', async ([, change]) => {
      await keep('a')
      await locate(['a', 'x', 'k'], ['a', 'x', 'l'])
      const before = await current().index.known(A)
      await change()
      const after = await current().index.known(A)
      expect(after?.rev).not.toBe(before?.rev)
      const stale = commit(current(), (tx) => current().index.expect(tx, { id: A }, before?.rev ?? null))
      await expect(stale).rejects.toMatchObject({ code: 'CONFLICT' })
    })

    test('has the same revision when another blob changes', async () => {
      await keep('a')
      await locate(['a', 'x', 'k'])
      const before = await current().index.known(A)
      await keep('b')
      await locate(['b', 'x', 'l'])
      expect((await current().index.known(A))?.rev).toBe(before?.rev)
    })
  })

  describe('expect() of facts alone', () => {
    test('holds while places of the blob change, and not when its facts are kept again or forgotten', async () => {
      await keep('a')
      const rev = (await current().index.known(A))?.factsRev ?? null
      const guarded = () => commit(current(), (tx) => current().index.expect(tx, { facts: A }, rev))
      await locate(['a', 'x', 'k'])
      await guarded()
      await keep('a')
      await expect(guarded()).rejects.toMatchObject({ code: 'CONFLICT' })
      await commit(current(), (tx) => current().index.forget(tx, A))
      await expect(guarded()).rejects.toMatchObject({ code: 'CONFLICT' })
    })
  })

  describe('hasPlace()', () => {
    const has = (standing: Standing, except: Place[] = []) => current().index.hasPlace({ id: A, standing, except })

    test.for([
      ['pending', 'owing'],
      ['failed', 'owing'],
      ['conflict', 'owing'],
      ['synced', 'synced'],
      ['missing', 'neither'],
      ['corrupt', 'neither'],
      ['unknown', 'neither'],
      ['deleting', 'neither'],
    ] as const)('of a blob whose one place is %s: it is %s', async ([state, standing]) => {
      await locate(['b', 'x', 'l', { state: 'synced' }], ['b', 'x', 'm'], ['a', 'x', 'k', { state }])
      for (const one of ['owing', 'synced', 'neither'] as const) expect(await has(one)).toBe(one === standing)
    })

    test('but for some places finds another, if there is one', async () => {
      const places = ['k', 'l'].map((key) => ({ backend: 'x', key }))
      await locate(['a', 'x', 'k'], ['a', 'x', 'l'])
      expect(await has('owing', places)).toBe(false)
      expect(await has('owing', places.slice(1))).toBe(true)
      await locate(['a', 'x', 'm'])
      expect(await has('owing', places)).toBe(true)
    })

    test('agrees with known(), whatever becomes of the places of two blobs', async () => {
      const states = ['pending', 'failed', 'synced', 'missing', 'deleting'] as const
      const change = fc.record({
        text: fc.constantFrom('a', 'b'),
        key: fc.constantFrom('k', 'l', 'm'),
        state: fc.option(fc.constantFrom(...states)),
      })
      await keep('a')
      await fc.assert(
        fc.asyncProperty(fc.array(change, { maxLength: 8 }), async (changes) => {
          for (const { text, key, state } of changes)
            if (state) await locate([text, 'x', key, { state }])
            else await commit(current(), (tx) => current().index.unlocate(tx, { backend: 'x', key }))
          const { locations = [] } = (await current().index.known(A)) ?? {}
          expect(await has('owing')).toBe(locations.some(owes))
          expect(await has('synced')).toBe(locations.some(({ state }) => state === 'synced'))
          expect(locations.map(({ key }) => key)).toEqual(locations.map(({ key }) => key).sort())
        }),
      )
    })
  })

  describe('expectPlace()', () => {
    test('lets all but the last of many places of one blob settle side by side', async () => {
      const names = Array.from({ length: 20 }, (_, i) => `k${i}`)
      await locate(...names.map((key): ['a', string, string] => ['a', 'x', key]))
      const settle = (key: string) =>
        commit(current(), (tx) => {
          current().index.expectPlace(tx, { id: A, standing: 'owing', except: [{ backend: 'x', key }] }, true)
          current().index.locate(tx, locationOf('a', 'x', key, { state: 'synced' }))
        })
      const settled = await Promise.allSettled(names.map(settle))
      expect(settled.filter(({ status }) => status === 'fulfilled')).toHaveLength(19)
      const [refused] = settled.filter((one) => one.status === 'rejected')
      expect(refused?.reason).toMatchObject({ code: 'CONFLICT' })
    })
  })

  describe('locate()', () => {
    test('of a place of another blob takes it over, whole', async () => {
      await keep('a')
      await keep('b')
      await locate(['a', 'x', 'k', { state: 'synced', verified: 1 }], ['a', 'x', 'l'])
      await locate(['b', 'x', 'k'])
      expect(await current().index.location({ backend: 'x', key: 'k' })).toEqual({
        ...locationOf('b', 'x', 'k'),
        rev: expect.any(String),
      })
      expect((await current().index.known(A))?.locations.map(({ key }) => key)).toEqual(['l'])
      expect((await current().index.known(B))?.locations.map(({ key }) => key)).toEqual(['k'])
    })

    test('by several at the same moment of places of one blob loses none', async () => {
      await keep('a')
      const names = Array.from({ length: 20 }, (_, i) => `b${String(i).padStart(2, '0')}`)
      await Promise.all(names.map((backend) => locate(['a', backend, 'k', { state: 'synced' }])))
      expect((await current().index.known(A))?.locations.map(({ backend }) => backend)).toEqual(names)
    })
  })

  describe('unlocate()', () => {
    test('of a place: neither it nor its blob know of it', async () => {
      await keep('a')
      await locate(['a', 'x', 'k'])
      await commit(current(), (tx) => current().index.unlocate(tx, { backend: 'x', key: 'k' }))
      expect(await current().index.location({ backend: 'x', key: 'k' })).toBeNull()
      expect((await current().index.known(A))?.locations).toEqual([])
    })

    test('of an unknown place does nothing', async () => {
      await locate(['a', 'x', 'k'])
      await commit(current(), (tx) => current().index.unlocate(tx, { backend: 'x', key: 'l' }))
      expect(await located('x')).toEqual(['k'])
    })
  })

  describe('located()', () => {
    test('are the places of one backend, in UTF-8 order of their keys', async () => {
      await locate(
        ...[...SORTED].reverse().map((key): ['a', string, string] => ['a', 'x', key]),
        ['a', 'xx', 'k'],
        ['b', 'y', 'k'],
      )
      expect(await located('x')).toEqual(SORTED)
      expect(await located('xx')).toEqual(['k'])
      expect(await located('none')).toEqual([])
    })

    test('with `after` are those behind it', async () => {
      await locate(...SORTED.map((key): ['a', string, string] => ['a', 'x', key]))
      expect(await located('x', { after: 'a/b' })).toEqual(SORTED.slice(3))
    })

    test('with a prefix are those below it, with `after` too', async () => {
      await locate(...SORTED.map((key): ['a', string, string] => ['a', 'x', key]), ['a', 'xx', 'a/bb'])
      expect(await located('x', { prefix: 'a/' })).toEqual(['a/b', 'a/c'])
      expect(await located('x', { prefix: 'a/', after: 'a/b' })).toEqual(['a/c'])
      expect(await located('x', { prefix: 'a/', after: 'A' })).toEqual(['a/b', 'a/c'])
      expect(await located('xx', { prefix: 'a/b' })).toEqual(['a/bb'])
    })

    test('are the rows that location() returns', async () => {
      await locate(['a', 'x', 'k', { state: 'synced', holds: { id: A, etag: 'e' }, shared: true }])
      const [row] = await collect(current().index.located({ backend: 'x', signal: NEVER }))
      expect(row).toEqual(await current().index.location({ backend: 'x', key: 'k' }))
    })
  })
}
