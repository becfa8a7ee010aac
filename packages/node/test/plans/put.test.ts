import type { LocationState } from '@stored/core'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { A, at, B, factsOf, ID_A, ID_B, idKeyOf, openWorld, type World } from './world.ts'

const HOLDS = { id: ID_B, etag: '"1"' }
const LATE = { code: 'TIMEOUT', message: 'too late' } as const
const STATES: LocationState[] = ['pending', 'synced', 'failed', 'conflict', 'missing', 'corrupt', 'unknown', 'deleting']

let world: World
beforeEach(async () => {
  world = await openWorld()
})
afterEach(() => world[Symbol.asyncDispose]())

/** Puts A at `k`. */
const put = (...backends: string[]) => world.store.put(A, { key: 'k', backends })
const pending = (backend: string, more = {}) => at(ID_A, backend, 'k', 'pending', more)

describe('a put of an unknown blob', () => {
  test('owes a copy to each of its targets, and stages the bytes', async () => {
    expect(await put('x', 'y')).toMatchObject({ id: ID_A, isNew: true, key: 'k' })
    expect(await world.row('x', 'k')).toEqual(pending('x'))
    expect(await world.jobs()).toEqual(['put x/k', 'put y/k'])
    expect(await world.isStaged(ID_A)).toBe(true)
    expect(await world.staging.releasable({ limit: 1 })).toEqual([])
  })

  test('to a backend of layout id owes one object for all keys', async () => {
    await put('s')
    expect(await world.row('s', idKeyOf(ID_A))).toEqual(at(ID_A, 's', idKeyOf(ID_A), 'pending', { shared: true }))
    expect(await world.jobs()).toEqual([`put s/${idKeyOf(ID_A)}`])
  })

  test('at a place that is being cleaned keeps what is known to lie there', async () => {
    await world.commit((tx) => world.index.locate(tx, at(ID_B, 'x', 'k', 'deleting', { holds: HOLDS })))
    await put('x')
    expect(await world.row('x', 'k')).toEqual(pending('x', { holds: HOLDS }))
  })
})

describe('a put of a known blob', () => {
  test.for(STATES)('whose copy at the target is %s', async (state) => {
    const before = at(ID_A, 'x', 'k', state, { holds: HOLDS, verified: 5, error: LATE })
    await world.given(ID_A, ['k'], before)
    const isSettled = state === 'synced' || state === 'pending'
    const after = isSettled ? before : pending('x', { holds: HOLDS })
    const { isNew, locations } = await put('x')
    expect(isNew).toBe(false)
    expect(await world.row('x', 'k')).toEqual(after)
    expect(await world.jobs()).toEqual(isSettled ? [] : ['put x/k'])
    expect(locations).toMatchObject([{ backend: 'x', key: 'k', state: after.state }])
  })

  test('at a second key owes an object of its own, and returns the places it asked for and no others', async () => {
    await world.given(ID_A, ['first'], at(ID_A, 'x', 'first', 'synced'), at(ID_A, 'y', 'first', 'synced'))
    expect((await put('x')).locations).toMatchObject([{ backend: 'x', key: 'k', state: 'pending' }])
    expect(await world.jobs()).toEqual(['put x/k'])
    expect(await world.row('x', 'first')).toMatchObject({ state: 'synced' })
  })

  test('at a second key on a backend of layout id owes nothing', async () => {
    await world.given(ID_A, ['first'], at(ID_A, 's', idKeyOf(ID_A), 'synced', { shared: true }))
    await put('s')
    expect(await world.jobs()).toEqual([])
    expect(await world.isStaged(ID_A)).toBe(false)
  })

  test('merges the checksums of the blob', async () => {
    const { ledger, index, store } = world
    const facts = factsOf(ID_A, { checksums: { sha256: ID_A.slice(7), md5: 'm' } })
    await ledger.transact((tx) => index.keep(tx, facts))
    await store.put(A, { key: 'k', backends: ['x'] })
    expect(await ledger.look((view) => index.facts(view, ID_A))).toEqual(facts)
  })
})

describe('a put to a place where the write of another blob', () => {
  test('was not begun remembers nothing of it', async () => {
    await world.given(ID_B, ['k'], at(ID_B, 'x', 'k', 'pending'))
    await put('x')
    expect(await world.row('x', 'k')).toEqual(pending('x'))
  })

  test('was begun and not confirmed remembers it: that blob may lie there', async () => {
    await world.given(ID_B, ['k'], at(ID_B, 'x', 'k', 'failed'))
    await world.tryInVain(ID_B, 'x', 'k')
    await put('x')
    expect(await world.row('x', 'k')).toEqual(pending('x', { tried: [ID_B] }))
  })

  test('is the same blob, and failed, remembers that it was begun', async () => {
    await world.given(ID_A, ['k'], at(ID_A, 'x', 'k', 'failed'))
    await world.tryInVain(ID_A, 'x', 'k')
    await put('x')
    expect(await world.row('x', 'k')).toEqual(pending('x', { tried: [ID_A] }))
  })
})

describe('a put to a key of another blob', () => {
  test('at the same place overwrites: one job, no removal, and it is known what lies there', async () => {
    await world.given(ID_B, ['k'], at(ID_B, 'x', 'k', 'synced', { holds: HOLDS, verified: 5 }))
    await put('x')
    expect(await world.row('x', 'k')).toEqual(pending('x', { holds: HOLDS }))
    expect(await world.jobs()).toEqual(['put x/k'])
    expect(await world.isKnown(ID_B)).toBe(false)
  })

  test('removes the former object where the new one does not go', async () => {
    await world.given(ID_B, ['k'], at(ID_B, 'y', 'k', 'synced', { holds: HOLDS, verified: 5 }))
    await put('x')
    expect(await world.row('y', 'k')).toEqual(at(ID_B, 'y', 'k', 'deleting', { holds: HOLDS }))
    expect(await world.jobs()).toEqual(['delete y/k', 'put x/k'])
  })

  test('lets go at once of places where nothing of the former blob can lie', async () => {
    await world.given(ID_B, ['k'], at(ID_B, 'y', 'k', 'pending'))
    await put('x')
    expect(await world.row('y', 'k')).toBeNull()
    expect(await world.jobs()).toEqual(['put x/k'])
  })

  test('leaves the objects of the other keys of the former blob, and its facts', async () => {
    await world.given(ID_B, ['k', 'other'], at(ID_B, 'x', 'k', 'synced'), at(ID_B, 'x', 'other', 'synced'))
    await put('x')
    expect(await world.jobs()).toEqual(['put x/k'])
    expect(await world.isKnown(ID_B)).toBe(true)
    expect(await world.row('x', 'other')).toMatchObject({ state: 'synced' })
  })

  test('removes the one object of all keys with the last of them, and leaves it to others', async () => {
    const one = at(ID_B, 's', idKeyOf(ID_B), 'synced', { shared: true, holds: HOLDS })
    await world.given(ID_B, ['k', 'other'], one)
    await put('s')
    expect(await world.jobs()).toEqual([`put s/${idKeyOf(ID_A)}`])
    await world.store.put(A, { key: 'other', backends: ['s'] })
    expect(await world.jobs()).toEqual([`delete s/${idKeyOf(ID_B)}`, `put s/${idKeyOf(ID_A)}`])
    expect(await world.isKnown(ID_B)).toBe(false)
  })

  test.for<LocationState>(['pending', 'failed', 'conflict'])(
    'keeps the staged bytes of the former blob while another place is %s, and not when only the lost one was',
    async (state) => {
      await world.given(ID_B, ['k', 'other'], at(ID_B, 'y', 'k', state), at(ID_B, 'x', 'other', state))
      await world.stage(ID_B, B)
      await put('x')
      expect(await world.isStaged(ID_B)).toBe(true)
      await world.store.put(A, { key: 'other', backends: ['x'] })
      expect(await world.isStaged(ID_B)).toBe(false)
    },
  )

  test('that was its last says so in the log, before the put', async () => {
    await world.store.put(B, { key: 'k', backends: ['x'] })
    await put('x')
    expect(await world.events()).toMatchObject([
      { type: 'put', checksum: ID_B },
      { type: 'delete', checksum: ID_B, keys: [] },
      { type: 'put', checksum: ID_A, key: 'k' },
    ])
  })
})

describe('a put to a place where the copy of another blob lies', () => {
  const refused = (backend: string) =>
    expect(put(backend)).rejects.toMatchObject({ code: 'KEY_CONFLICT', at: { op: 'put', key: 'k', backend } })

  test.for(STATES.filter((state) => state !== 'deleting'))('(%s) is refused, by a key and by an id', async (state) => {
    const copies = [at(ID_B, 'x', 'k', state), at(ID_B, 's', idKeyOf(ID_A), state)]
    await world.given(ID_B, ['other'], ...copies)
    await refused('x')
    await refused('s')
    expect(await world.isKnown(ID_A)).toBe(false)
  })

  test('that other keys share is refused, also when this key was one of them, and taken with the last', async () => {
    await world.given(ID_B, ['k', 'other'], at(ID_B, 'x', 'k', 'synced', { shared: true }))
    await refused('x')
    await world.store.delete('other')
    await put('x')
    expect(await world.row('x', 'k')).toEqual(pending('x'))
    expect(await world.isKnown(ID_B)).toBe(false)
  })
})

describe('a put after a change of layout', () => {
  test.for<LocationState>(['synced', 'pending'])(
    'to layout id makes the %s object that one key had for itself that of all keys',
    async (state) => {
      const before = at(ID_A, 's', idKeyOf(ID_A), state, { holds: { id: ID_A } })
      await world.given(ID_A, [idKeyOf(ID_A)], before)
      await put('s')
      expect(await world.row('s', before.key)).toEqual({ ...before, shared: true })
      expect(await world.jobs()).toEqual([])
      expect(await world.isStaged(ID_A)).toBe(state === 'pending')
    },
  )

  test('to layout key leaves the object of all keys to all keys, also when it is brought again', async () => {
    await world.given(ID_A, ['k'], at(ID_A, 'x', 'k', 'missing', { shared: true }))
    await put('x')
    expect(await world.row('x', 'k')).toEqual(pending('x', { shared: true }))
  })
})

describe('the bytes of a put', () => {
  test.for([
    ['pending', true],
    ['failed', true],
    ['missing', false],
    ['deleting', false],
  ] as const)('whose copy is there while another place is %s are kept: %s', async ([state, isKept]) => {
    await world.given(ID_A, ['k', 'l'], at(ID_A, 'x', 'k', 'synced'), at(ID_A, 'y', 'l', state))
    await put('x')
    expect(await world.isStaged(ID_A)).toBe(isKept)
    const marked = isKept ? [ID_A] : []
    expect(await world.staging.releasable({ limit: 1 }), 'they may leave when staging is full').toEqual(marked)
  })
})
