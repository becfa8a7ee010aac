import { describe, expect, test } from 'vitest'
import type { BlobId } from '../../model/blob.ts'
import type { Location, LocationFacts, LocationState, Place } from '../../model/copy.ts'
import type { Rev } from '../../model/revision.ts'
import { type DeletePlanInput, planDelete } from './plan-delete.ts'

const A: BlobId = `sha256:${'a'.repeat(64)}`
const REV = '1' as Rev
const HOLDS = { id: A, etag: '"1"' }
const facts = {
  id: A,
  checksums: { sha256: 'a' },
  size: 3,
  mimeType: 'text/plain',
  created: 1,
  modified: 1,
  custom: {},
}

const at = (
  backend: string,
  key: string,
  state: LocationState = 'synced',
  more: Partial<LocationFacts> = {},
): Location => {
  return { backend, key, id: A, state, rev: REV, ...more }
}
const shared = (backend: string, state: LocationState = 'synced') => at(backend, 'blobs/a', state, { shared: true })

const isAt = (one: Place, other: Place) => one.backend === other.backend && one.key === other.key

/** delete('k') of a blob that has no other key. */
function plan(locations: Location[], input: Partial<DeletePlanInput> = {}) {
  const known = { facts, locations, rev: REV, factsRev: REV }
  const result = planDelete({
    known,
    keys: ['k'],
    hasOtherKeys: false,
    bound: [],
    begun: () => false,
    isConfigured: () => true,
    isStaged: true,
    backends: undefined,
    key: 'k',
    ...input,
  })
  const isDropped = (place: LocationFacts) => [...result.jobs, ...result.gone].some((one) => isAt(one, place))
  return { ...result, dropped: locations.filter(isDropped).map(({ backend, key }) => `${backend}/${key}`) }
}

describe('delete(key) of the last key', () => {
  test('drops every copy, and forgets the blob', () => {
    const { locations, jobs, gone, forget, release } = plan(
      [at('x', 'k', 'synced', { holds: HOLDS, verified: 5 }), shared('y', 'pending'), at('z', 'k', 'failed')],
      { begun: ({ backend }) => backend === 'y' },
    )
    expect(locations).toEqual([
      { backend: 'x', key: 'k', id: A, state: 'deleting', holds: HOLDS },
      { backend: 'y', key: 'blobs/a', id: A, state: 'deleting', shared: true, tried: [A] },
    ])
    expect(jobs).toEqual([
      { op: 'delete', backend: 'x', key: 'k', id: A, size: 0 },
      { op: 'delete', backend: 'y', key: 'blobs/a', id: A, size: 0 },
    ])
    expect(gone, 'that never held anything').toEqual([{ backend: 'z', key: 'k' }])
    expect({ forget, release }).toEqual({ forget: true, release: true })
  })

  test('drops copies of keys that were bound anew before', () => {
    expect(plan([at('x', 'k'), at('x', 'former')]).dropped).toEqual(['x/k', 'x/former'])
  })

  const states: LocationState[] = ['pending', 'synced', 'failed', 'conflict', 'missing', 'corrupt', 'unknown']
  test.for(states)('drops a copy that is %s', (state) => {
    expect(plan([at('x', 'k', state)]).dropped).toEqual(['x/k'])
  })

  test('does not clean again what is being cleaned', () => {
    expect(plan([at('x', 'k', 'deleting')])).toMatchObject({ dropped: [], forget: true, release: true })
  })
})

describe('delete(key) of one key of several', () => {
  const more = { hasOtherKeys: true }

  test('drops the objects of that key on all backends, and no other', () => {
    const result = plan([at('x', 'k'), at('y', 'k'), at('x', 'other'), shared('z')], more)
    expect(result).toMatchObject({ dropped: ['x/k', 'y/k'], forget: false })
  })

  test('leaves the one object of all keys, also when it has the name of that key', () => {
    const one = at('x', 'k', 'synced', { shared: true })
    expect(plan([one], more)).toMatchObject({ dropped: [], forget: false })
  })

  test('keeps the staged bytes while a copy that stays owes them', () => {
    expect(plan([at('x', 'k'), at('x', 'other', 'pending')], more).release).toBe(false)
    expect(plan([at('x', 'k'), shared('y', 'failed')], more).release).toBe(false)
  })

  test('releases the staged bytes when only what it drops owed them', () => {
    expect(plan([at('x', 'k', 'pending'), at('x', 'other')], more).release).toBe(true)
  })
})

test('delete(id) drops all keys and copies', () => {
  const result = plan([at('x', 'k'), at('x', 'other'), shared('y')], { keys: ['k', 'other'], key: undefined })
  expect(result).toMatchObject({ dropped: ['x/k', 'x/other', 'y/blobs/a'], forget: true, release: true })
})

describe('delete({ backends })', () => {
  const onX = (more: Partial<DeletePlanInput> = {}) => ({ keys: [], backends: ['x'], hasOtherKeys: true, ...more })

  test('drops the copies there, and neither key nor facts', () => {
    expect(plan([at('x', 'k'), at('y', 'k')], onX())).toMatchObject({ dropped: ['x/k'], forget: false, release: true })
  })

  test('of a key leaves the objects of other keys on that backend', () => {
    expect(plan([at('x', 'k'), at('x', 'other')], onX()).dropped).toEqual(['x/k'])
  })

  test('of an id drops those of all keys', () => {
    const result = plan([at('x', 'k'), at('x', 'other'), at('y', 'k')], onX({ key: undefined }))
    expect(result.dropped).toEqual(['x/k', 'x/other'])
  })

  test('drops the one object of all keys', () => {
    expect(plan([shared('x'), at('y', 'k')], onX()).dropped).toEqual(['x/blobs/a'])
  })

  test('where there is no copy does nothing, also when it is the only one', () => {
    expect(plan([at('y', 'k', 'missing')], onX())).toMatchObject({ dropped: [], forget: false })
  })

  const safe: LocationState[] = ['synced', 'pending', 'failed', 'conflict']
  test.for(safe)('passes when a copy elsewhere is %s: on a backend, or staged', (state) => {
    expect(plan([at('x', 'k'), at('y', 'k', state)], onX()).dropped).toEqual(['x/k'])
  })

  test.for(safe.slice(1))('keeps the staged bytes while a copy elsewhere is %s', (state) => {
    expect(plan([at('x', 'k'), at('y', 'k', state)], onX()).release).toBe(false)
  })

  const unsafe: LocationState[] = ['missing', 'corrupt', 'unknown', 'deleting']
  test.for(unsafe)('throws PRECONDITION_FAILED when the only other copy is %s', (state) => {
    const failing = () => plan([at('x', 'k'), at('y', 'k', state)], onX())
    expect(failing).toThrow(expect.objectContaining({ code: 'PRECONDITION_FAILED', at: { op: 'delete', key: 'k' } }))
  })

  describe('when what is owed was released', () => {
    const refused = expect.objectContaining({ code: 'PRECONDITION_FAILED' })

    test.for(safe.slice(1))('throws PRECONDITION_FAILED when the only other copy is %s', (state) => {
      expect(() => plan([at('x', 'k'), at('y', 'k', state)], onX({ isStaged: false }))).toThrow(refused)
    })

    test('passes when a synced copy is left for the place that owes', () => {
      const locations = [at('x', 'k'), at('y', 'k', 'pending'), at('z', 'k')]
      expect(plan(locations, onX({ isStaged: false })).dropped).toEqual(['x/k'])
    })

    test('throws PRECONDITION_FAILED when the copy that is left goes with a key, and the place that owes does not', () => {
      const owing = [at('y', 'other', 'pending'), shared('y', 'pending')]
      for (const one of owing)
        expect(() => plan([at('x', 'k'), one, at('z', 'k')], onX({ isStaged: false }))).toThrow(refused)
      expect(plan([at('x', 'k'), owing[0] as Location, shared('z')], onX({ isStaged: false })).dropped).toEqual(['x/k'])
    })
  })

  describe('of a blob with several keys', () => {
    const both = { bound: ['k', 'l'] }
    const refused = expect.objectContaining({ code: 'PRECONDITION_FAILED' })

    test("throws PRECONDITION_FAILED when the copies left are another key's: they go with that key", () => {
      expect(() => plan([at('x', 'k'), at('x', 'l')], onX(both))).toThrow(refused)
      expect(() => plan([at('x', 'k'), at('y', 'l')], onX({ ...both, key: undefined }))).toThrow(refused)
    })

    test.for([at('y', 'k'), shared('y'), at('y', 'k', 'pending')])(
      'passes while each keeps one: $backend/$key',
      (own) => {
        expect(plan([at('x', 'k'), at('x', 'l'), own], onX(both)).dropped).toEqual(['x/k'])
      },
    )

    test('is not refused for a key that had no copy before', () => {
      expect(plan([at('x', 'k'), at('y', 'k'), at('x', 'l', 'missing')], onX(both)).dropped).toEqual(['x/k'])
    })
  })

  test('of all backends with a copy throws PRECONDITION_FAILED', () => {
    const failing = () => plan([at('x', 'k'), at('y', 'k')], onX({ backends: ['x', 'y'] }))
    expect(failing).toThrow(expect.objectContaining({ code: 'PRECONDITION_FAILED' }))
  })

  test('of a blob without keys obeys the same rule', () => {
    expect(plan([at('x', 'k'), at('y', 'k')], onX({ hasOtherKeys: false, key: undefined })).forget).toBe(false)
  })
})
