import {
  type Binding,
  type BlobId,
  type Cursor,
  type LocationFacts,
  owes,
  type Page,
  type Place,
  type Standing,
  type View,
} from '@stored/core'
import { compareKeys } from '@stored/core/backend'
import fc from 'fast-check'
import { beforeEach, describe, expect, test } from 'vitest'
import { bindingOf, type Current, commit, factsOf, idOf, locationOf } from './subject.ts'

const A = idOf('a')
const B = idOf('b')
const STANDINGS: readonly Standing[] = ['owing', 'synced', 'missing', 'wrong', 'deleting']
/** In the order of their bytes in UTF-8; JavaScript's own order swaps the last two. */
const SORTED = ['a', 'a b', 'a/b', 'a/c', 'ab', 'ä', '～', '😀']

export function indexSuite(current: Current): void {
  const bind = (...pairs: [key: string, text: string][]) =>
    commit(current(), (tx) => {
      for (const [key, text] of pairs) current().index.bind(tx, bindingOf(key, text))
    })
  const unbind = (key: string) => commit(current(), (tx) => current().index.unbind(tx, key))
  const locate = (...all: Parameters<typeof locationOf>[]) =>
    commit(current(), (tx) => {
      for (const one of all) current().index.locate(tx, locationOf(...one))
    })
  const keep = (text: string) => commit(current(), (tx) => current().index.keep(tx, factsOf(text)))
  const look = <T>(read: (view: View) => T) => current().ledger.look(read)
  const binding = (key: string) => look((view) => current().index.binding(view, key))
  const location = (place: Place) => look((view) => current().index.location(view, place))
  const facts = (id: BlobId) => look((view) => current().index.facts(view, id))
  const placesOf = (id: BlobId) =>
    look((view) => STANDINGS.flatMap((standing) => current().index.locations(view, id, standing)))
  const keys = (text: string) => look((view) => current().index.keys(view, idOf(text)))
  /** All pages of a walk, each of a few rows. */
  async function walk<T>(read: (view: View, from: Cursor | undefined) => Page<T>): Promise<T[]> {
    const all: T[] = []
    for (let from: Cursor | null | undefined; from !== null; ) {
      const at: Cursor | undefined = from
      const page = await look((view) => read(view, at))
      all.push(...page.items)
      from = page.next
    }
    return all
  }
  const bindings = async (o: { prefix?: string; after?: string } = {}) =>
    (await walk((view, from) => current().index.bindings(view, { limit: 3, ...o, from }))).map(({ key }) => key)
  const located = async (backend: string, o: { prefix?: string; after?: string } = {}) =>
    (await walk((view, from) => current().index.located(view, { limit: 3, ...o, backend, from }))).map(({ key }) => key)

  describe('bind()', () => {
    test('of a new key: it has this blob, and the blob this key', async () => {
      await bind(['k', 'a'])
      expect(await binding('k')).toEqual({ ...bindingOf('k', 'a'), facts: null, version: expect.any(String) })
      expect(await keys('a')).toEqual(['k'])
    })

    test('of a bound key takes it from the former blob', async () => {
      await bind(['k', 'a'], ['other', 'a'])
      await bind(['k', 'b'])
      expect(await binding('k')).toMatchObject({ id: B })
      expect(await keys('a')).toEqual(['other'])
      expect(await keys('b')).toEqual(['k'])
    })

    test('of a key to the blob it has changes nothing but its version', async () => {
      await bind(['k', 'a'])
      const before = await binding('k')
      await bind(['k', 'a'])
      const after = await binding('k')
      expect(after).toEqual({ ...before, version: expect.any(String) })
      expect(after?.version).not.toBe(before?.version)
      expect(await keys('a')).toEqual(['k'])
    })

    test('keeps what belongs to the key, and to no other one of the blob', async () => {
      const custom = { nested: { n: [1, null] }, π: '😀' }
      const given = bindingOf('k', 'a', {
        custom,
        mimeType: 'image/png',
        wanted: { x: 'own', s: 'shared' },
        owner: 'o',
      })
      await bind(['l', 'a'])
      const other = await binding('l')
      await commit(current(), (tx) => current().index.bind(tx, given))
      expect(await binding('k')).toEqual({ ...given, facts: null, version: expect.any(String) })
      expect(await binding('l')).toEqual(other)
    })

    test('of the longest key to a blob on a backend with the longest name', async () => {
      const place = { backend: 'b'.repeat(64), key: '😀'.repeat(256) }
      await bind([place.key, 'a'])
      await keep('a')
      await locate(['a', place.backend, place.key])
      expect(await binding(place.key)).toMatchObject({ id: A })
      expect(await location(place)).toMatchObject(place)
      expect(await placesOf(A)).toMatchObject([place])
    })
  })

  describe('unbind()', () => {
    test('of a bound key: neither key nor blob know of each other', async () => {
      await bind(['k', 'a'], ['l', 'a'])
      await unbind('k')
      expect(await binding('k')).toBeNull()
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

  describe('keys that want shared copies', () => {
    const wanting = (...all: [key: string, shared: string[], owner?: string][]) =>
      commit(current(), (tx) => {
        for (const [key, shared, owner] of all) {
          const wanted = { x: 'own' as const, ...Object.fromEntries(shared.map((one) => [one, 'shared' as const])) }
          current().index.bind(tx, bindingOf(key, 'a', { wanted, ...(owner !== undefined && { owner }) }))
        }
      })
    const groups = () => look((view) => current().index.keyGroups(view, A))
    const isShared = (backend: string, ...except: string[]) =>
      look((view) => current().index.isShared(view, { id: A, backend, except }))

    test('are one group if they want the same, and belong to the same package', async () => {
      await wanting(['a', []], ['b', ['s']], ['c', ['t', 's']], ['d', ['s', 't']], ['e', ['s'], 'o'], ['f', [], 'o'])
      const found = (await groups()).map((one) => JSON.stringify(one)).sort()
      const expected = [{ shared: [] }, { shared: ['s'] }, { shared: ['s', 't'] }, { owner: 'o', shared: [] }]
      expect(found).toEqual([...expected, { owner: 'o', shared: ['s'] }].map((one) => JSON.stringify(one)).sort())
      expect(await keys('a')).toEqual(['a', 'b', 'c', 'd', 'e', 'f'])
    })

    test('are in no group once they are unbound, bound to another blob, or want something else', async () => {
      await wanting(['a', ['s']], ['b', ['t']], ['c', ['u']])
      await unbind('a')
      await bind(['b', 'b'])
      await wanting(['c', []])
      expect(await groups()).toEqual([{ shared: [] }])
      expect(await isShared('u')).toBe(false)
    })

    test('isShared() says whether one wants it, but for those that are excepted', async () => {
      await wanting(['a', ['s']], ['b', ['s', 't']], ['c', []])
      expect([await isShared('s'), await isShared('s', 'a'), await isShared('s', 'a', 'b')]).toEqual([
        true,
        true,
        false,
      ])
      expect([await isShared('t', 'a'), await isShared('t', 'b')]).toEqual([true, false])
      expect([await isShared('x'), await isShared('none')]).toEqual([false, false])
    })

    test('keys() come in UTF-8 order a page at a time, whatever they want', async () => {
      const wants = [[], ['s'], ['t'], ['s', 't']]
      await wanting(...SORTED.map((key, i): [string, string[]] => [key, wants[i % 4] as string[]]))
      for (const limit of [1, 2, 3, 7, 8, 9]) {
        const found: string[] = []
        for (let page: string[] | undefined; page?.length !== 0; found.push(...page)) {
          const after = found.at(-1)
          page = await look((view) => current().index.keys(view, A, { limit, ...(after !== undefined && { after }) }))
          expect(page.length).toBeLessThanOrEqual(limit)
        }
        expect(found).toEqual(SORTED)
      }
    })
  })

  describe('bindings()', () => {
    test('come in UTF-8 order of their keys, each with its blob, its facts and its version', async () => {
      await bind(...[...SORTED].reverse().map((key): [string, string] => [key, key]))
      const all = await walk((view, from) => current().index.bindings(view, { limit: 3, from }))
      expect(all.map(({ key }) => key)).toEqual(SORTED)
      expect(SORTED).toEqual([...SORTED].sort(compareKeys))
      for (const one of all) {
        const { facts: _, ...bound } = (await binding(one.key)) as Binding
        expect(one).toEqual({ ...bound, locations: [] })
      }
    })

    test('show the places of their keys, also where a page ends among the rows of a key', async () => {
      const keys = ['a', 'b', 'bb', 'c']
      await bind(...keys.map((key): [string, string] => [key, 'a']))
      for (const key of keys) for (const backend of ['x', 'y', 'z']) await locate(['a', backend, key])
      for (const limit of [1, 2, 3, 4, 5, 6, 7, 100]) {
        const all = await walk((view, from) => current().index.bindings(view, { limit, from }))
        const shown = all.map(({ key, locations }) => [key, locations.map((one) => `${one.backend}/${one.key}`)])
        expect(shown).toEqual(keys.map((key) => [key, [`x/${key}`, `y/${key}`, `z/${key}`]]))
      }
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
  })

  describe('facts()', () => {
    test('of a kept blob are as they were given', async () => {
      const kept = factsOf('a', { checksums: { sha256: A.slice('sha256:'.length), md5: 'm' } })
      await commit(current(), (tx) => current().index.keep(tx, kept))
      expect(await facts(A)).toEqual(kept)
    })

    test('of an unknown blob, and of a forgotten one, are null, also while a place of it is being cleaned', async () => {
      expect(await facts(A)).toBeNull()
      await keep('a')
      await locate(['a', 'x', 'k', { state: 'deleting' }])
      await commit(current(), (tx) => current().index.forget(tx, A))
      expect(await facts(A)).toBeNull()
      expect(await location({ backend: 'x', key: 'k' })).toMatchObject({ state: 'deleting' })
    })
  })

  describe('locations()', () => {
    const holds = { id: B, etag: '"1"' }
    const error = { code: 'TIMEOUT' as const, message: 'too late' }
    const places = [
      locationOf('a', 'x', 'k', { state: 'synced', holds, verified: 7 }),
      locationOf('a', 'x', 'l', { state: 'failed', error }),
      locationOf('a', 'y', 'k', { state: 'synced', shared: true }),
      locationOf('a', 'y', 'm', { state: 'missing' }),
    ]
    const written = (...all: typeof places) => all.map((place) => ({ ...place, rev: expect.any(String) }))
    const [synced, failed, shared, missing] = places as [LocationFacts, LocationFacts, LocationFacts, LocationFacts]

    beforeEach(() =>
      commit(current(), (tx) => {
        for (const place of places) current().index.locate(tx, place)
        current().index.locate(tx, locationOf('b', 'z', 'k'))
      }),
    )

    test('are those that stand so, each with all that is known of it', async () => {
      const all = await look((view) => STANDINGS.map((one) => current().index.locations(view, A, one)))
      expect(all).toEqual([written(failed), written(synced, shared), written(missing), [], []])
    })

    test('come a page at a time', async () => {
      const page = (after?: Place) =>
        look((view) => current().index.locations(view, A, 'synced', { limit: 1, ...(after && { after }) }))
      expect(await page()).toEqual(written(synced))
      expect(await page(synced)).toEqual(written(shared))
      expect(await page(shared)).toEqual([])
    })

    test('at a key are those of all blobs and backends, and no other row of that key', async () => {
      await bind(['k', 'a'])
      const rows = await look((view) => current().index.locationsAt(view, 'k'))
      expect(rows).toEqual(written(synced, shared, locationOf('b', 'z', 'k')))
    })

    test('where a copy is or shall be are those of any standing but one, a page at a time', async () => {
      await locate(['a', 'x', 'going', { state: 'deleting' }])
      const all = await walk((view, from) => current().index.live(view, A, { from, limit: 3 }))
      expect(all).toEqual(written(failed, synced, shared, missing))
    })

    test('that all keys share are found by that, until they are cleaned or belong to another blob', async () => {
      const sharedPlaces = () => look((view) => current().index.shared(view, A))
      expect(await sharedPlaces()).toEqual(written(shared))
      await locate(['a', 'y', 'id', { state: 'pending', shared: true }], ['b', 'y', 'other', { shared: true }])
      expect(await sharedPlaces()).toMatchObject([{ key: 'id' }, shared])
      await locate(['a', 'y', 'id', { state: 'deleting', shared: true }])
      expect(await sharedPlaces()).toEqual(written(shared))
      await locate(['b', shared.backend, shared.key, { shared: true }])
      expect(await sharedPlaces()).toEqual([])
    })
  })

  describe('the version of a location', () => {
    const version = async () => (await location({ backend: 'x', key: 'k' }))?.rev

    test('is another one whenever it is written again, and the same while others are', async () => {
      await locate(['a', 'x', 'k'])
      const before = await version()
      await locate(['a', 'x', 'l'], ['b', 'x', 'm'])
      await keep('a')
      expect(await version()).toBe(before)
      await locate(['a', 'x', 'k'])
      expect(await version()).not.toBe(before)
    })
  })

  describe('hasPlace()', () => {
    const has = (standing: Standing, except: Place[] = []) =>
      look((view) => current().index.hasPlace(view, { id: A, standing, except }))

    test.for([
      ['pending', 'owing'],
      ['failed', 'owing'],
      ['conflict', 'owing'],
      ['synced', 'synced'],
      ['missing', 'missing'],
      ['corrupt', 'wrong'],
      ['unknown', 'wrong'],
      ['deleting', 'deleting'],
    ] as const)('of a blob whose one place is %s: it is %s', async ([state, standing]) => {
      await locate(['b', 'x', 'l', { state: 'synced' }], ['b', 'x', 'm'], ['a', 'x', 'k', { state }])
      for (const one of STANDINGS) expect(await has(one)).toBe(one === standing)
    })

    test('but for some places finds another, if there is one', async () => {
      const places = ['k', 'l'].map((key) => ({ backend: 'x', key }))
      await locate(['a', 'x', 'k'], ['a', 'x', 'l'])
      expect(await has('owing', places)).toBe(false)
      expect(await has('owing', places.slice(1))).toBe(true)
      await locate(['a', 'x', 'm'])
      expect(await has('owing', places)).toBe(true)
    })

    test('agrees with locations(), whatever becomes of the places of two blobs', async () => {
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
          const locations = await placesOf(A)
          expect(await has('owing')).toBe(locations.some(owes))
          expect(await has('synced')).toBe(locations.some(({ state }) => state === 'synced'))
        }),
      )
    })
  })

  describe('endTenure()', () => {
    const end = (backend: string) => commit(current(), (tx) => current().index.endTenure(tx, backend))
    const has = (standing: Standing, except: Place[] = []) =>
      look((view) => current().index.hasPlace(view, { id: A, standing, except }))

    test('reads what was synced as unknown, wherever it is read, and everything else as before', async () => {
      await locate(['a', 'x', 'k', { state: 'synced' }], ['a', 'y', 'k', { state: 'synced' }], ['a', 'x', 'l'])
      const before = await location({ backend: 'x', key: 'k' })
      await end('x')
      const doubtful = expect.objectContaining({ backend: 'x', key: 'k', state: 'unknown', rev: before?.rev })
      const { index } = current()
      expect(await location({ backend: 'x', key: 'k' })).toEqual(doubtful)
      expect(await look((view) => index.locationsAt(view, 'k'))).toMatchObject([doubtful, { state: 'synced' }])
      expect((await look((view) => index.located(view, { backend: 'x' }))).items).toMatchObject([
        doubtful,
        { key: 'l' },
      ])
      expect(await look((view) => index.locations(view, A, 'former'))).toEqual([doubtful])
      expect(await look((view) => index.locations(view, A, 'synced'))).toMatchObject([{ backend: 'y' }])
      expect(await location({ backend: 'x', key: 'l' })).toMatchObject({ state: 'pending' })
    })

    test('of a backend with the longest name: its next copies of the longest keys are told from the former', async () => {
      const place = { backend: 'b'.repeat(64), key: '😀'.repeat(256) }
      await end(place.backend)
      await locate(['a', place.backend, place.key, { state: 'synced' }])
      expect(await location(place)).toMatchObject({ ...place, state: 'synced' })
      expect(await placesOf(A)).toMatchObject([place])
    })

    test('agrees with the states of places, page by page, whatever becomes of them and of their backends', async () => {
      // Names of which one begins with the other.
      const backends = ['x', 'x-', 'y'] as const
      const keysOfPlaces = ['k', 'l', 'm', 'n'] as const
      const change = fc.record({
        backend: fc.constantFrom(...backends),
        key: fc.constantFrom(...keysOfPlaces),
        state: fc.constantFrom('pending', 'synced', 'synced', 'synced', 'missing', 'ended', null),
        pages: fc.integer({ min: 1, max: 3 }),
      })
      await fc.assert(
        fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 12 }), async (changes) => {
          const { index } = current()
          for (const { backend, key, state } of changes)
            if (state === 'ended') await end(backend)
            else if (state) await locate(['a', backend, key, { state }])
            else await commit(current(), (tx) => index.unlocate(tx, { backend, key }))
          const places = backends.flatMap((backend) => keysOfPlaces.map((key) => ({ backend, key })))
          const all = (await Promise.all(places.map(location))).flatMap((one) => one ?? [])
          const stands = { synced: ['synced'], owing: ['pending'], doubtful: ['missing', 'unknown'] }
          const paged = (standing: Standing, limit: number) =>
            look((view) => {
              const found: Place[] = []
              for (let after: Place | undefined; ; after = found.at(-1)) {
                const page = index.locations(view, A, standing, { limit, ...(after && { after }) })
                found.push(...page)
                if (page.length < limit) return found.map(({ backend, key }) => `${backend} ${key}`).sort()
              }
            })
          const named = (states: string[]) =>
            all.filter(({ state }) => states.includes(state)).map(({ backend, key }) => `${backend} ${key}`)
          const limit = changes[0]?.pages ?? 1
          expect(await paged('synced', limit)).toEqual(named(stands.synced).sort())
          expect(await paged('owing', limit)).toEqual(named(stands.owing).sort())
          const doubtful = [await paged('missing', limit), await paged('wrong', limit), await paged('former', limit)]
          expect(doubtful.flat().sort()).toEqual(named(stands.doubtful).sort())
          const synced = all.filter(({ state }) => state === 'synced')
          expect(await has('synced')).toBe(synced.length > 0)
          expect(await has('synced', synced)).toBe(false)
          expect(await has('synced', synced.slice(1))).toBe(synced.length > 0)
          expect((await look((view) => index.live(view, A, { limit: 20 }))).items).toHaveLength(all.length)
        }),
      )
    })
  })

  describe('setLeaving()', () => {
    test('is told until it is taken back, or the backend is removed', async () => {
      const { index } = current()
      const leaving = { token: 't', until: 1 }
      const tell = () => look((view) => [index.tenure(view, 'x'), index.leaving(view)])
      expect(await tell()).toEqual([{ generation: 0 }, []])
      await commit(current(), (tx) => index.setLeaving(tx, 'x', leaving))
      expect(await tell()).toEqual([{ generation: 0, leaving }, ['x']])
      await commit(current(), (tx) => index.setLeaving(tx, 'x', null))
      expect(await tell()).toEqual([{ generation: 0 }, []])
      await commit(current(), (tx) => index.setLeaving(tx, 'x', leaving))
      await commit(current(), (tx) => index.endTenure(tx, 'x'))
      expect(await tell()).toEqual([{ generation: 1 }, []])
    })
  })

  describe('locate()', () => {
    test('of a place of another blob takes it over, whole', async () => {
      await keep('a')
      await keep('b')
      await locate(['a', 'x', 'k', { state: 'synced', verified: 1 }], ['a', 'x', 'l'])
      await locate(['b', 'x', 'k'])
      expect(await location({ backend: 'x', key: 'k' })).toEqual({
        ...locationOf('b', 'x', 'k'),
        rev: expect.any(String),
      })
      expect((await placesOf(A)).map(({ key }) => key)).toEqual(['l'])
      expect((await placesOf(B)).map(({ key }) => key)).toEqual(['k'])
    })

    test('by several at the same moment of places of one blob loses none', async () => {
      await keep('a')
      const names = Array.from({ length: 20 }, (_, i) => `b${String(i).padStart(2, '0')}`)
      await Promise.all(names.map((backend) => locate(['a', backend, 'k', { state: 'synced' }])))
      expect((await placesOf(A)).map(({ backend }) => backend)).toEqual(names)
    })
  })

  describe('unlocate()', () => {
    test('of a place: neither it nor its blob know of it', async () => {
      await keep('a')
      await locate(['a', 'x', 'k'])
      await commit(current(), (tx) => current().index.unlocate(tx, { backend: 'x', key: 'k' }))
      expect(await location({ backend: 'x', key: 'k' })).toBeNull()
      expect(await placesOf(A)).toEqual([])
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
      const [row] = await walk((view, from) => current().index.located(view, { backend: 'x', from }))
      expect(row).toEqual(await location({ backend: 'x', key: 'k' }))
    })
  })
}
