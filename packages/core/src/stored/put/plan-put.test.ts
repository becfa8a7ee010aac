import { describe, expect, test } from 'vitest'
import type { BlobFacts, BlobId } from '../../model/blob.ts'
import type { Location, LocationFacts, LocationState } from '../../model/copy.ts'
import type { Rev } from '../../model/revision.ts'
import type { Known } from '../../ports/index.ts'
import { type PutPlanInput, planPut, type Target } from './plan-put.ts'

const A: BlobId = `sha256:${'a'.repeat(64)}`
const B: BlobId = `sha256:${'b'.repeat(64)}`
const REV = '1' as Rev
const HOLDS = { id: B, etag: '"1"' }

const factsOf = (id: BlobId, more: Partial<BlobFacts> = {}): BlobFacts => {
  const checksums = { sha256: id.slice('sha256:'.length) }
  return { id, checksums, size: 3, mimeType: 'text/plain', created: 1, modified: 1, custom: {}, ...more }
}
const at = (
  id: BlobId,
  backend: string,
  key: string,
  state: LocationState,
  more: Partial<LocationFacts> = {},
): Location => {
  return { backend, key, id, state, rev: REV, ...more }
}
const knownOf = (id: BlobId, ...locations: Location[]): Known => ({
  facts: factsOf(id),
  locations,
  rev: REV,
  factsRev: REV,
})
const bound = (id: BlobId) => ({ key: 'k', id, rev: REV })
const target = (backend: string, location: Location | null = null, begun = false): Target => {
  return { place: { backend, key: 'k' }, shared: false, location, begun }
}
const shared = (backend: string, id: BlobId, location: Location | null = null): Target => {
  return { place: { backend, key: `blobs/${id}` }, shared: true, location, begun: false }
}

/** A put of blob A at key `k`, which nobody knows, to no backend. */
function plan(input: Partial<PutPlanInput>) {
  return planPut({
    key: 'k',
    facts: factsOf(A),
    explicitMimeType: false,
    bound: null,
    known: null,
    former: null,
    targets: [],
    ifAbsent: false,
    ifMatch: undefined,
    ...input,
  })
}

const pending = (backend: string, more: Partial<LocationFacts> = {}): LocationFacts => {
  return { backend, key: 'k', id: A, state: 'pending', ...more }
}
const putJob = (backend: string, key = 'k') => ({ op: 'put', backend, key, id: A, size: 3 })
const deleteJob = (backend: string, key = 'k') => ({ op: 'delete', backend, key, id: B, size: 0 })

describe('a put of an unknown blob', () => {
  test('owes a copy to each of its targets', () => {
    const result = plan({ targets: [target('x'), target('y')] })
    expect(result).toEqual({
      facts: factsOf(A),
      isNew: true,
      locations: [pending('x'), pending('y')],
      jobs: [putJob('x'), putJob('y')],
      gone: [],
      former: null,
      keeps: true,
      marks: false,
      result: [pending('x'), pending('y')],
    })
  })

  test('to a backend of layout id owes one object for all keys', () => {
    const { locations, jobs } = plan({ targets: [shared('x', A)] })
    expect(locations).toEqual([{ backend: 'x', key: `blobs/${A}`, id: A, state: 'pending', shared: true }])
    expect(jobs).toEqual([putJob('x', `blobs/${A}`)])
  })

  test('at a place that is being cleaned keeps what is known to lie there', () => {
    const { locations } = plan({ targets: [target('x', at(B, 'x', 'k', 'deleting', { holds: HOLDS }))] })
    expect(locations).toEqual([pending('x', { holds: HOLDS })])
  })
})

describe('a put to a place where the write of another blob', () => {
  const C: BlobId = `sha256:${'c'.repeat(64)}`
  const triedAfter = (location: Location, begun: boolean) => {
    const former = { known: knownOf(B, location), hasOtherKeys: false, begun: () => false }
    return plan({ bound: bound(B), former, targets: [target('x', location, begun)] }).locations[0]?.tried
  }

  test('was not begun remembers nothing of it', () => {
    expect(triedAfter(at(B, 'x', 'k', 'pending'), false)).toBeUndefined()
  })

  test('was begun and not confirmed remembers it: that blob may lie there', () => {
    expect(triedAfter(at(B, 'x', 'k', 'pending'), true)).toEqual([B])
    expect(triedAfter(at(B, 'x', 'k', 'deleting', { tried: [B] }), true)).toEqual([B])
    expect(triedAfter(at(B, 'x', 'k', 'deleting'), true)).toBeUndefined()
  })

  test('was begun twice remembers both, also when one is the blob itself, but not the one confirmed', () => {
    expect(triedAfter(at(B, 'x', 'k', 'pending', { tried: [C, A] }), true)).toEqual([C, A, B])
    expect(triedAfter(at(B, 'x', 'k', 'synced', { holds: { id: B }, tried: [C] }), false)).toEqual([C])
  })
})

describe('a put of a known blob', () => {
  const settled: LocationState[] = ['synced', 'pending']
  test.for(settled)('whose copy at the target is %s stores nothing anew', (state) => {
    const location = at(A, 'x', 'k', state)
    const result = plan({ known: knownOf(A, location), bound: bound(A), targets: [target('x', location)] })
    expect(result).toMatchObject({ isNew: false, locations: [], jobs: [], result: [location] })
  })

  const unsettled: LocationState[] = ['failed', 'conflict', 'missing', 'corrupt', 'unknown', 'deleting']
  test.for(unsettled)('whose copy at the target is %s owes it again, and forgets why', (state) => {
    const error = { code: 'TIMEOUT' as const, message: 'too late' }
    const location = at(A, 'x', 'k', state, { holds: HOLDS, verified: 5, error })
    const { locations, jobs, result } = plan({
      known: knownOf(A, location),
      bound: bound(A),
      targets: [target('x', location)],
    })
    expect(locations).toEqual([pending('x', { holds: HOLDS })])
    expect(jobs).toEqual([putJob('x')])
    expect(result).toEqual(locations)
  })

  test('owes only the copies that are not there, and keeps the others', () => {
    const here = at(A, 'x', 'k', 'synced')
    const elsewhere = at(A, 'z', 'other', 'synced')
    const { locations, jobs, result } = plan({
      known: knownOf(A, here, elsewhere),
      targets: [target('x', here), target('y')],
    })
    expect(locations).toEqual([pending('y')])
    expect(jobs).toEqual([putJob('y')])
    expect(result).toEqual([here, elsewhere, pending('y')])
  })

  test('at a second key owes an object of its own, and drops none', () => {
    const first = at(A, 'x', 'first', 'synced')
    const { locations, result } = plan({ known: knownOf(A, first), targets: [target('x')] })
    expect(locations).toEqual([pending('x')])
    expect(result).toEqual([first, pending('x')])
  })

  test('at a second key on a backend of layout id owes nothing', () => {
    const one = at(A, 'x', `blobs/${A}`, 'synced', { shared: true })
    expect(plan({ known: knownOf(A, one), targets: [shared('x', A, one)] })).toMatchObject({ locations: [], jobs: [] })
  })

  test('merges checksums and metadata, the later wins; keeps MIME type and date of birth', () => {
    const known = {
      ...knownOf(A),
      facts: factsOf(A, { checksums: { sha256: 'a', md5: 'm' }, created: 1, custom: { a: 1, b: { c: 1 } } }),
    }
    const given = factsOf(A, {
      checksums: { sha256: 'a', xxh3: 'x' },
      created: 9,
      modified: 9,
      mimeType: 'image/png',
      custom: { b: 2 },
    })
    expect(plan({ known, facts: given }).facts).toEqual({
      ...known.facts,
      checksums: { sha256: 'a', md5: 'm', xxh3: 'x' },
      modified: 9,
      custom: { a: 1, b: 2 },
    })
  })

  test('with an explicit MIME type has it from now on', () => {
    const facts = factsOf(A, { mimeType: 'image/png' })
    expect(plan({ known: knownOf(A), facts, explicitMimeType: true }).facts.mimeType).toBe('image/png')
  })
})

describe('a put to a key of another blob', () => {
  test('at the same place overwrites: one job, no removal, and it is known what lies there', () => {
    const location = at(B, 'x', 'k', 'synced', { holds: HOLDS, verified: 5 })
    const former = { known: knownOf(B, location), hasOtherKeys: false, begun: () => false }
    const result = plan({ bound: bound(B), former, targets: [target('x', location)] })
    expect(result).toMatchObject({ locations: [pending('x', { holds: HOLDS })], jobs: [putJob('x')] })
    expect(result.locations[0]).not.toHaveProperty('verified')
    expect(result.former).toEqual({ facts: factsOf(B), forget: true, release: true })
  })

  test('removes the former object where the new one does not go', () => {
    const location = at(B, 'y', 'k', 'synced', { holds: HOLDS, verified: 5 })
    const former = { known: knownOf(B, location), hasOtherKeys: false, begun: () => false }
    const result = plan({ bound: bound(B), former, targets: [target('x')] })
    expect(result.locations).toEqual([pending('x'), { backend: 'y', key: 'k', id: B, state: 'deleting', holds: HOLDS }])
    expect(result.jobs).toEqual([putJob('x'), deleteJob('y')])
    expect(result.result).toEqual([pending('x')])
    expect(result.former).toMatchObject({ forget: true, release: true })
  })

  test('leaves the objects of the other keys of the former blob, and its facts', () => {
    const other = at(B, 'x', 'other', 'synced')
    const former = { known: knownOf(B, at(B, 'x', 'k', 'synced'), other), hasOtherKeys: true, begun: () => false }
    const result = plan({ bound: bound(B), former, targets: [target('x', at(B, 'x', 'k', 'synced'))] })
    expect(result.jobs).toEqual([putJob('x')])
    expect(result.former).toEqual({ facts: factsOf(B), forget: false, release: true })
  })

  test('removes the one object of all keys, and the facts with it, when no key is left', () => {
    const one = at(B, 'x', `blobs/${B}`, 'synced', { shared: true, holds: HOLDS })
    const former = { known: knownOf(B, one), hasOtherKeys: false, begun: () => false }
    const result = plan({ bound: bound(B), former, targets: [shared('x', A)] })
    expect(result.jobs).toEqual([putJob('x', `blobs/${A}`), deleteJob('x', `blobs/${B}`)])
    expect(result.former).toEqual({ facts: factsOf(B), forget: true, release: true })
  })

  test('leaves the one object of all keys to the others', () => {
    const one = at(B, 'x', `blobs/${B}`, 'synced', { shared: true })
    const former = { known: knownOf(B, one), hasOtherKeys: true, begun: () => false }
    const result = plan({ bound: bound(B), former, targets: [shared('x', A)] })
    expect(result.jobs).toEqual([putJob('x', `blobs/${A}`)])
    expect(result.former).toMatchObject({ forget: false, release: true })
  })

  const owing: LocationState[] = ['pending', 'failed', 'conflict']
  test.for(owing)('keeps the staged bytes of the former blob while another place is %s', (state) => {
    const former = {
      known: knownOf(B, at(B, 'x', 'k', 'synced'), at(B, 'x', 'other', state)),
      hasOtherKeys: true,
      begun: () => false,
    }
    expect(plan({ bound: bound(B), former, targets: [target('x')] }).former).toMatchObject({ release: false })
  })

  test.for(owing)('releases the staged bytes of the former blob when only the lost place was %s', (state) => {
    const location = at(B, 'x', 'k', state)
    const former = {
      known: knownOf(B, location, at(B, 'y', 'other', 'synced')),
      hasOtherKeys: true,
      begun: () => false,
    }
    expect(plan({ bound: bound(B), former, targets: [target('x', location)] }).former).toMatchObject({ release: true })
  })

  test('does not clean again what is being cleaned', () => {
    const former = { known: knownOf(B, at(B, 'y', 'k', 'deleting')), hasOtherKeys: false, begun: () => false }
    const result = plan({ bound: bound(B), former, targets: [target('x')] })
    expect(result.jobs).toEqual([putJob('x')])
    expect(result.former).toMatchObject({ forget: true, release: true })
  })
})

describe('a put to a place where the copy of another blob lies', () => {
  const refused = (input: Partial<PutPlanInput>) =>
    expect(() => plan(input)).toThrow(
      expect.objectContaining({ code: 'KEY_CONFLICT', at: { op: 'put', key: 'k', backend: 'x' } }),
    )

  test.for<LocationState>(['pending', 'synced', 'failed', 'conflict', 'missing', 'corrupt', 'unknown'])(
    '(%s) is refused, by a key and by an id',
    (state) => {
      refused({ targets: [target('x', at(B, 'x', 'k', state))] })
      refused({ targets: [shared('x', A, at(B, 'x', `blobs/${A}`, state))] })
    },
  )

  test('that other keys share is refused, also when this key was one of them', () => {
    const one = at(B, 'x', 'k', 'synced', { shared: true })
    const former = { known: knownOf(B, one), hasOtherKeys: true, begun: () => false }
    refused({ bound: bound(B), former, targets: [target('x', one)] })
    const last = plan({ bound: bound(B), former: { ...former, hasOtherKeys: false }, targets: [target('x', one)] })
    expect(last).toMatchObject({ locations: [pending('x')], jobs: [putJob('x')], former: { forget: true } })
  })
})

describe('a put after a change of layout', () => {
  const own = (state: LocationState, more: Partial<LocationFacts> = {}) => at(A, 'x', `blobs/${A}`, state, more)

  test.for<LocationState>(['synced', 'pending'])(
    'to layout id makes the %s object that one key had for itself that of all keys',
    (state) => {
      const before = own(state, { holds: { id: A } })
      const { rev: _, ...facts } = before
      const result = plan({ known: knownOf(A, before), targets: [shared('x', A, before)] })
      expect(result).toMatchObject({ locations: [{ ...facts, shared: true }], jobs: [], keeps: state === 'pending' })
    },
  )

  test('to layout key leaves the object of all keys to all keys, also when it is brought again', () => {
    const before = own('missing', { shared: true })
    const place = { backend: 'x', key: before.key }
    const targets = [{ place, shared: false, location: before, begun: false }]
    expect(plan({ known: knownOf(A, before), targets }).locations).toMatchObject([{ state: 'pending', shared: true }])
  })
})

describe('conditions judge the binding', () => {
  const former = { known: knownOf(B), hasOtherKeys: false, begun: () => false }

  test('ifAbsent of a key that is not bound passes, whatever lies at its places', () => {
    const input = { ifAbsent: true, targets: [target('x', at(B, 'x', 'k', 'deleting'))] }
    expect(plan(input).jobs).toEqual([putJob('x')])
  })

  test.for([A, B])('ifAbsent of a bound key throws ALREADY_EXISTS, naming the blob, be it the same', (id) => {
    const input = { ifAbsent: true, bound: bound(id), former: id === B ? former : null }
    expect(() => plan(input)).toThrow(expect.objectContaining({ code: 'ALREADY_EXISTS', at: { op: 'put', key: 'k' } }))
    expect(() => plan(input)).toThrow(id)
  })

  test('ifMatch of the blob that the key is bound to passes', () => {
    expect(plan({ ifMatch: B, bound: bound(B), former, targets: [target('x')] }).jobs).toEqual([putJob('x')])
  })

  test('ifMatch of another blob throws PRECONDITION_FAILED, naming the one that is there', () => {
    const failing = () => plan({ ifMatch: A, bound: bound(B), former })
    expect(failing).toThrow(expect.objectContaining({ code: 'PRECONDITION_FAILED' }))
    expect(failing).toThrow(B)
  })

  test('ifMatch of a key that is not bound throws PRECONDITION_FAILED', () => {
    expect(() => plan({ ifMatch: A })).toThrow(expect.objectContaining({ code: 'PRECONDITION_FAILED' }))
  })
})

describe('the bytes of a put', () => {
  const rebinds = (...locations: Location[]) =>
    plan({ known: knownOf(A, ...locations), targets: [target('x', locations[0])] })

  test('are kept while any place owes them, also one that this put is not about: they may have been released', () => {
    expect(rebinds(at(A, 'x', 'k', 'synced'), at(A, 'y', 'k', 'pending'))).toMatchObject({ jobs: [], keeps: true })
    expect(rebinds(at(A, 'x', 'k', 'synced'), at(A, 'y', 'k', 'failed'))).toMatchObject({ jobs: [], keeps: true })
  })

  test('are not kept when nothing owes them', () => {
    const settled = rebinds(at(A, 'x', 'k', 'synced'), at(A, 'y', 'k', 'missing'), at(A, 'z', 'k', 'deleting'))
    expect(settled).toMatchObject({ keeps: false, marks: false })
  })

  test('are marked as releasable when they are kept although a copy is synced', () => {
    expect(rebinds(at(A, 'x', 'k', 'synced'), at(A, 'y', 'k', 'pending')).marks).toBe(true)
    expect(rebinds(at(A, 'x', 'k', 'pending'), at(A, 'y', 'k', 'pending')).marks).toBe(false)
  })
})
