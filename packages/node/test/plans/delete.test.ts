import type { LocationFacts, LocationState } from '@stored/core'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { A, at, ID_A, idKeyOf, openWorld, type World } from './world.ts'

const HOLDS = { id: ID_A, etag: '"1"' }
const SHARED = idKeyOf(ID_A)
const copy = (backend: string, key: string, state: LocationState = 'synced', more: Partial<LocationFacts> = {}) =>
  at(ID_A, backend, key, state, { ...(state === 'synced' && { holds: HOLDS }), ...more })
const shared = (state: LocationState = 'synced') => copy('s', SHARED, state, { shared: true })
const refused = { code: 'PRECONDITION_FAILED' }

let world: World
beforeEach(async () => {
  world = await openWorld()
})
afterEach(() => world[Symbol.asyncDispose]())

describe('delete(key) of the last key', () => {
  test('drops every copy, forgets the blob and its staged bytes, and says so', async () => {
    await world.given(ID_A, ['k'], copy('x', 'k'), copy('y', 'former'), shared('failed'), copy('y', 'k', 'pending'))
    await world.tryInVain(ID_A, 's', SHARED)
    await world.stage(ID_A, A)
    expect(await world.store.delete('k')).toEqual({ deleted: ['k'], pending: expect.arrayContaining(['x', 'y', 's']) })
    expect(await world.row('x', 'k')).toEqual(copy('x', 'k', 'deleting', { holds: HOLDS }))
    expect(await world.row('s', SHARED)).toEqual(copy('s', SHARED, 'deleting', { shared: true, tried: [ID_A] }))
    expect(await world.row('y', 'k'), 'that never held anything').toBeNull()
    expect(await world.jobs()).toEqual([`delete s/${SHARED}`, 'delete x/k', 'delete y/former'])
    expect([await world.isKnown(ID_A), await world.isStaged(ID_A)]).toEqual([false, false])
    expect(await world.events()).toMatchObject([{ type: 'delete', checksum: ID_A, keys: ['k'] }])
  })

  test('does not clean again what is being cleaned', async () => {
    await world.given(ID_A, ['k'], copy('x', 'k', 'deleting', { holds: HOLDS }))
    expect(await world.store.delete('k')).toEqual({ deleted: ['k'], pending: [] })
    expect(await world.isKnown(ID_A)).toBe(false)
  })
})

describe('delete(key) of one key of several', () => {
  test('drops the objects of that key on all backends, and no other', async () => {
    await world.given(ID_A, ['k', 'l'], copy('x', 'k'), copy('y', 'k'), copy('x', 'l'), shared())
    expect(await world.store.delete('k')).toEqual({ deleted: ['k'], pending: ['x', 'y'] })
    expect(await world.jobs()).toEqual(['delete x/k', 'delete y/k'])
    expect(await world.isKnown(ID_A)).toBe(true)
  })

  test('leaves the one object of all keys, also when it has the name of that key', async () => {
    await world.given(ID_A, ['k', 'l'], copy('x', 'k', 'synced', { shared: true }))
    expect(await world.store.delete('k')).toEqual({ deleted: ['k'], pending: [] })
    expect(await world.row('x', 'k')).toMatchObject({ state: 'synced' })
  })

  test.for<LocationState>(['pending', 'failed', 'conflict'])(
    'keeps the staged bytes while a copy that stays is %s, and not when only its own was',
    async (state) => {
      await world.given(ID_A, ['k', 'l', 'm'], copy('x', 'k', state), copy('x', 'l', state), copy('x', 'm'))
      await world.stage(ID_A, A)
      await world.store.delete('k')
      expect(await world.isStaged(ID_A)).toBe(true)
      await world.store.delete('l')
      expect(await world.isStaged(ID_A)).toBe(false)
    },
  )
})

describe('delete(id)', () => {
  test('drops all keys and copies', async () => {
    await world.given(ID_A, ['k', 'l'], copy('x', 'k'), copy('x', 'l'), shared())
    expect((await world.store.delete(ID_A)).deleted).toEqual(['k', 'l'])
    expect(await world.jobs()).toEqual([`delete s/${SHARED}`, 'delete x/k', 'delete x/l'])
    expect(await Array.fromAsync(world.store.list())).toEqual([])
  })

  test('of a blob without keys says so too', async () => {
    await world.given(ID_A, [], copy('x', 'k'))
    expect(await world.store.delete(ID_A)).toEqual({ deleted: [], pending: ['x'] })
    expect(await world.events()).toMatchObject([{ type: 'delete', checksum: ID_A, keys: [] }])
  })

  test('of one that nobody knows does nothing', async () => {
    expect(await world.store.delete(ID_A)).toEqual({ deleted: [], pending: [] })
    expect(await world.events()).toEqual([])
  })
})

describe('delete({ backends })', () => {
  const drop = (name = 'k', ...backends: string[]) =>
    world.store.delete(name, { backends: backends.length > 0 ? backends : ['x'] })

  test('drops the copies there, and neither key nor facts', async () => {
    await world.given(ID_A, ['k'], copy('x', 'k'), copy('y', 'k'))
    expect(await drop()).toEqual({ deleted: [], pending: ['x'] })
    expect(await world.jobs()).toEqual(['delete x/k'])
    expect(await world.isKnown(ID_A)).toBe(true)
  })

  test('of a key leaves the objects of other keys on that backend; of an id drops those of all', async () => {
    const copies = ['k', 'l'].flatMap((key) => [copy('x', key), copy('y', key)])
    await world.given(ID_A, ['k', 'l'], ...copies)
    await drop()
    expect(await world.jobs()).toEqual(['delete x/k'])
    await drop(ID_A)
    expect(await world.jobs()).toEqual(['delete x/k', 'delete x/l'])
  })

  test('drops the one object of all keys', async () => {
    await world.given(ID_A, ['k'], shared(), copy('y', 'k'))
    expect(await drop('k', 's')).toEqual({ deleted: [], pending: ['s'] })
  })

  test('of a blob without keys never drops the last copy', async () => {
    await world.given(ID_A, [], shared())
    await expect(drop(ID_A, 's')).rejects.toMatchObject(refused)
    expect(await world.row('s', SHARED)).toMatchObject({ state: 'synced' })
  })

  test('where there is no copy does nothing, also when there is none elsewhere', async () => {
    await world.given(ID_A, ['k'], copy('y', 'k', 'missing'))
    expect(await drop()).toEqual({ deleted: [], pending: [] })
  })

  test.for<[LocationState, isStaged: boolean, isLeft: boolean]>([
    ['synced', false, true],
    ...(['pending', 'failed', 'conflict'] as const).flatMap((state): [LocationState, boolean, boolean][] => [
      [state, true, true],
      [state, false, false],
    ]),
    ...(['missing', 'corrupt', 'unknown', 'deleting'] as const).map((state): [LocationState, boolean, boolean] => [
      state,
      true,
      false,
    ]),
  ])('while the only other copy is %s, and staged: %s: passes: %s', async ([state, isStaged, passes]) => {
    await world.given(ID_A, ['k'], copy('x', 'k'), copy('y', 'k', state))
    if (isStaged) await world.stage(ID_A, A)
    const dry = world.store.delete('k', { backends: ['x'], dryRun: true })
    if (passes) {
      expect(await dry).toEqual({ deleted: [], pending: ['x'] })
      expect(await world.row('x', 'k'), 'nothing was changed').toMatchObject({ state: 'synced' })
      await drop()
      expect(await world.isStaged(ID_A)).toBe(isStaged)
    } else {
      await expect(dry).rejects.toMatchObject(refused)
      await expect(drop()).rejects.toMatchObject({ ...refused, at: { op: 'delete', key: 'k' } })
      expect(await world.row('x', 'k')).toMatchObject({ state: 'synced' })
    }
  })

  test.for<[string, LocationFacts, LocationFacts, passes: boolean]>([
    ['a place that owes has a copy of its key', copy('y', 'k', 'pending'), copy('s', 'k'), true],
    ['the copy lies on a backend that is not configured', copy('y', 'k', 'pending'), copy('z', 'k'), false],
    ['a place that owes has a shared copy', copy('y', 'k', 'pending'), shared(), true],
    ['a place that owes has only a copy that goes with another key', copy('y', 'l', 'pending'), copy('y', 'k'), false],
    ['a place of all keys owes, and the copy goes with a key', shared('pending'), copy('y', 'k'), false],
    ['that place has the name of the key', copy('s', 'k', 'pending', { shared: true }), copy('y', 'k'), false],
  ])('when what is owed was released, and %s', async ([, owing, other, passes]) => {
    await world.given(ID_A, ['k'], copy('x', 'k'), owing, other)
    if (passes) expect(await drop()).toEqual({ deleted: [], pending: ['x'] })
    else await expect(drop()).rejects.toMatchObject(refused)
  })

  describe('of a blob with several keys', () => {
    test("is refused when the copies left are another key's: they go with that key", async () => {
      await world.given(ID_A, ['k', 'l'], copy('x', 'k'), copy('x', 'l'), copy('y', 'l'))
      await expect(drop()).rejects.toMatchObject(refused)
      await expect(drop(ID_A)).rejects.toMatchObject(refused)
      await expect(drop('l')).resolves.toMatchObject({ pending: ['x'] })
    })

    test.for([copy('y', 'k'), shared(), copy('y', 'k', 'pending')])(
      'passes while each keeps one: $backend is $state',
      async (own) => {
        await world.given(ID_A, ['k', 'l'], copy('x', 'k'), copy('x', 'l'), own)
        await world.stage(ID_A, A)
        expect(await drop()).toMatchObject({ pending: ['x'] })
      },
    )

    test('leaves the object of all keys while another key wants it', async () => {
      await world.given(ID_A, ['k', 'l'], shared(), copy('x', 'k'))
      expect(await drop('k', 's')).toEqual({ deleted: [], pending: [] })
      expect(await world.row('s', SHARED)).toMatchObject({ state: 'synced' })
      await expect(drop('l', 's')).rejects.toMatchObject(refused)
      await expect(drop(ID_A, 's')).rejects.toMatchObject(refused)
    })

    test('gives up the object of all keys with the last one that wants it', async () => {
      await world.given(ID_A, ['k', 'l'], shared(), copy('x', 'k'), copy('x', 'l'))
      expect(await drop('k', 's')).toEqual({ deleted: [], pending: [] })
      expect(await drop('l', 's')).toEqual({ deleted: [], pending: ['s'] })
      expect(await world.row('s', SHARED)).toMatchObject({ state: 'deleting' })
    })

    test('is refused for a key whose only other copy is one that it never asked for', async () => {
      await world.given(ID_A, ['k'], copy('x', 'k'))
      await world.store.put(A, { key: 'l', backends: ['s'] })
      await expect(drop('k')).rejects.toMatchObject(refused)
    })

    test('is refused for such a key also where the object lies below a former prefix, behind many other places', async () => {
      const others = Array.from({ length: 40 }, (_, i) => `k${i}`)
      const key = SHARED.replace('blobs', 'former')
      const former = copy('y', key, 'synced', { shared: true })
      await world.given(ID_A, ['bare', ...others], former, ...others.map((key) => copy('x', key)))
      await expect(drop(ID_A, 'y')).rejects.toMatchObject(refused)
      await expect(world.store.forget({ backend: 'y', key })).rejects.toMatchObject(refused)
    })

    test('is not refused for a key that had no copy before', async () => {
      await world.given(ID_A, ['k', 'l'], copy('x', 'k'), copy('y', 'k'), copy('x', 'l', 'missing'))
      expect(await drop()).toMatchObject({ pending: ['x'] })
    })
  })

  test('of all backends with a copy is refused', async () => {
    await world.given(ID_A, ['k'], copy('x', 'k'), copy('y', 'k'))
    await expect(drop('k', 'x', 'y')).rejects.toMatchObject(refused)
  })

  test('of a blob without keys counts no copy on a backend that is not configured', async () => {
    await world.given(ID_A, [], copy('x', 'k'), copy('z', 'k'))
    await expect(drop(ID_A)).rejects.toMatchObject(refused)
  })

  test('of a blob without keys counts no staged bytes that only what is dropped owes', async () => {
    await world.given(ID_A, [], copy('x', 'k'), copy('y', 'k', 'pending'))
    await world.stage(ID_A, A)
    await expect(drop(ID_A, 'x', 'y')).rejects.toMatchObject(refused)
  })

  test('of a blob without keys obeys the same rule', async () => {
    await world.given(ID_A, [], copy('x', 'k'), copy('y', 'k'))
    expect(await drop(ID_A)).toEqual({ deleted: [], pending: ['x'] })
    await expect(drop(ID_A, 'y')).rejects.toMatchObject(refused)
    expect(await world.isKnown(ID_A)).toBe(true)
  })
})

describe('forget()', () => {
  test('gives up the last place that owes, with the staged bytes, while a copy is left', async () => {
    await world.given(ID_A, ['k'], copy('x', 'k'), copy('y', 'k', 'failed'))
    await world.stage(ID_A, A)
    await world.store.forget({ backend: 'y', key: 'k' })
    expect(await world.row('y', 'k')).toBeNull()
    expect(await world.isStaged(ID_A)).toBe(false)
  })

  test('of the last copy is refused, of a removal never', async () => {
    await world.given(ID_A, ['k'], copy('x', 'k'), copy('y', 'k', 'deleting', { holds: HOLDS }))
    await expect(world.store.forget({ backend: 'x', key: 'k' })).rejects.toMatchObject(refused)
    await world.store.forget({ backend: 'y', key: 'k' })
    expect(await world.row('y', 'k')).toBeNull()
  })
})
