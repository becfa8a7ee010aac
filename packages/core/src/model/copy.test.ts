import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { BlobId } from './blob.ts'
import {
  damaged,
  doubted,
  found,
  givenUp,
  isRead,
  isSettled,
  isWanted,
  type LocationFacts,
  type LocationState,
  leavesTry,
  owed,
  owedAgain,
  parked,
  removed,
  repaired,
  sharedByAll,
  standingOf,
  whole,
  written,
} from './copy.ts'
import type { Failure } from './failure.ts'

const A: BlobId = `sha256:${'a'.repeat(64)}`
const B: BlobId = `sha256:${'b'.repeat(64)}`
const C: BlobId = `sha256:${'c'.repeat(64)}`
const PLACE = { backend: 'x', key: 'k' }
const HOLDS = { id: A, etag: '"1"' }
const LATE: Failure = { code: 'TIMEOUT', message: 'too late' }
const STATES: LocationState[] = ['pending', 'synced', 'failed', 'conflict', 'missing', 'corrupt', 'unknown', 'deleting']
const DOUBTFUL: LocationState[] = ['missing', 'corrupt', 'unknown']

const copy = (state: LocationState, more: Partial<LocationFacts> = {}): LocationFacts => {
  return { ...PLACE, id: A, state, ...more }
}
const wanted = (id: BlobId, more: { shared?: boolean; begun?: boolean } = {}) => {
  return { place: PLACE, id, shared: false, begun: false, ...more }
}
const refused = expect.objectContaining({ code: 'INTERNAL' })

test.for([
  ['pending', 'owing', false],
  ['failed', 'owing', false],
  ['conflict', 'owing', false],
  ['synced', 'synced', true],
  ['missing', 'missing', true],
  ['corrupt', 'wrong', true],
  ['unknown', 'wrong', true],
  ['deleting', 'deleting', false],
] as const)('a copy that is %s stands as %s; it can be read: %s', ([state, standing, canBeRead]) => {
  expect(standingOf({ state })).toBe(standing)
  expect(isRead({ state })).toBe(canBeRead)
})

describe('isWanted()', () => {
  test.for(STATES)('of a place that is %s', (state) => {
    expect(isWanted(copy(state), { op: 'put', id: A })).toBe(state !== 'synced' && state !== 'deleting')
    expect(isWanted(copy(state), { op: 'delete', id: A })).toBe(state === 'deleting')
    expect(isWanted(copy(state), { op: 'put', id: B })).toBe(false)
    expect(isWanted(null, { op: 'put', id: A })).toBe(false)
  })
})

describe('owed()', () => {
  test('where nothing is known', () => {
    expect(owed(null, wanted(A))).toEqual(copy('pending'))
    expect(owed(null, wanted(A, { shared: true }))).toEqual(copy('pending', { shared: true }))
  })

  test.for(STATES)('of a place that is %s keeps what the backend confirmed and forgets the rest', (state) => {
    const before = copy(state, { holds: HOLDS, verified: 5, error: LATE })
    expect(owed(before, wanted(A))).toEqual(copy('pending', { holds: HOLDS }))
    expect(owed(before, wanted(B))).toEqual(copy('pending', { id: B, holds: HOLDS }))
  })

  test('leaves the object of all keys to all keys, unless it is being removed or another blob’s', () => {
    expect(owed(copy('missing', { shared: true }), wanted(A))).toMatchObject({ shared: true })
    expect(owed(copy('deleting', { shared: true }), wanted(A))).not.toHaveProperty('shared')
    expect(owed(copy('missing', { shared: true }), wanted(B))).not.toHaveProperty('shared')
  })

  test.for([
    ['was not begun', copy('pending', { id: B }), false, undefined],
    ['was begun and not confirmed', copy('pending', { id: B }), true, [B]],
    ['was begun before it was given up', copy('deleting', { id: B, tried: [B] }), true, [B]],
    ['is a removal', copy('deleting', { id: B }), true, undefined],
    ['was begun behind others', copy('pending', { id: B, tried: [C, A] }), true, [C, A, B]],
    ['was confirmed', copy('synced', { id: B, holds: { id: B }, tried: [C] }), true, [C]],
  ] as const)('over a job that %s', ([, before, begun, tried]) => {
    expect(owed(before, wanted(A, { begun })).tried).toEqual(tried)
  })
})

test.for(STATES)('a put over a place that is %s asks whether its try was begun only where that matters', (state) => {
  expect(leavesTry(copy(state), B)).toBe(true)
  expect(leavesTry(copy(state), A)).toBe(state === 'failed' || state === 'conflict')
  expect(leavesTry(null, A)).toBe(false)
  expect(isSettled(copy(state), A)).toBe(state === 'synced' || state === 'pending')
  expect(isSettled(copy(state), B)).toBe(false)
})

describe('written()', () => {
  const outcome = { etag: '"2"', verified: 7 }

  test('of what is wanted: the copy is synced, and what was tried or failed before is over', () => {
    const synced = copy('synced', { holds: { id: A, etag: '"2"' }, verified: 7, shared: true })
    for (const state of ['pending', 'failed', 'conflict', 'missing'] as const) {
      const before = copy(state, { holds: HOLDS, tried: [B], error: LATE, shared: true })
      expect(written(before, { id: A }, outcome)).toEqual(synced)
    }
    expect(written(copy('pending'), { id: A }, { etag: undefined, verified: 7 }).holds).toEqual({ id: A })
  })

  test.for([
    ['bound to another blob', copy('pending', { id: B, tried: [A] })],
    ['given up', copy('deleting', { tried: [A], error: LATE })],
    ['brought by another try', copy('synced', { holds: HOLDS, verified: 5 })],
  ] as const)('of a place that was %s changes only what lies there', ([, before]) => {
    const { tried: _, ...rest } = before
    expect(written(before, { id: A }, outcome)).toEqual({ ...rest, holds: { id: A, etag: '"2"' } })
  })
})

describe('removed()', () => {
  test('of what is to go: the row goes', () => {
    expect(removed(copy('deleting', { holds: HOLDS }), { id: A })).toBeNull()
  })

  test.for([copy('pending', { holds: HOLDS, tried: [B] }), copy('pending', { id: B, holds: HOLDS }), copy('synced')])(
    'of what is wanted again: nothing lies there any more',
    (before) => {
      const { holds: _, tried: __, ...rest } = before
      expect(removed(before, { id: A })).toEqual(rest)
    },
  )
})

describe('parked()', () => {
  test.for([
    ['pending', 'TIMEOUT', 'failed'],
    ['pending', 'ALREADY_EXISTS', 'conflict'],
    ['pending', 'PRECONDITION_FAILED', 'conflict'],
    ['failed', 'ALREADY_EXISTS', 'conflict'],
    ['conflict', 'TIMEOUT', 'failed'],
    ['deleting', 'TIMEOUT', 'deleting'],
    ['deleting', 'PRECONDITION_FAILED', 'deleting'],
  ] as const)('of a copy that is %s for %s: %s, with the reason', ([state, code, after]) => {
    const before = copy(state, { holds: HOLDS, tried: [B] })
    expect(parked(before, { code, message: 'why' })).toEqual({
      ...before,
      state: after,
      error: { code, message: 'why' },
    })
  })

  test('of a synced copy is refused', () => {
    expect(() => parked(copy('synced'), LATE)).toThrow(refused)
  })
})

describe('owedAgain()', () => {
  test.for([
    ['failed', 'pending'],
    ['conflict', 'pending'],
    ['pending', 'pending'],
    ['deleting', 'deleting'],
  ] as const)('of a copy that is %s: %s, and no reason', ([state, after]) => {
    const before = copy(state, { holds: HOLDS, error: LATE })
    expect(owedAgain(before)).toEqual(copy(after, { holds: HOLDS }))
  })

  test.for(['synced', ...DOUBTFUL] as const)('of a copy that is %s changes nothing', (state) => {
    const before = copy(state, { holds: HOLDS, error: LATE })
    expect(owedAgain(before)).toEqual(before)
  })
})

describe('givenUp()', () => {
  test.for([
    [
      'a confirmed copy',
      copy('synced', { holds: HOLDS, verified: 5, shared: true }),
      false,
      { holds: HOLDS, shared: true },
    ],
    ['a copy that may have been written', copy('pending'), true, { tried: [A] }],
    [
      'a copy over another one',
      copy('failed', { holds: { id: B }, error: LATE }),
      true,
      { holds: { id: B }, tried: [A] },
    ],
    ['a confirmed copy that is written again', copy('missing', { holds: HOLDS }), true, { holds: HOLDS }],
    ['a copy tried before', copy('pending', { tried: [A, B] }), true, { tried: [A, B] }],
  ] as const)('of %s: it is to be removed', ([, before, begun, after]) => {
    expect(givenUp(before, begun)).toEqual(copy('deleting', after as Partial<LocationFacts>))
  })

  test('of a copy whose write was never begun: there is nothing to remove', () => {
    expect(givenUp(copy('pending'), false)).toBeNull()
    expect(givenUp(copy('failed', { error: LATE }), false)).toBeNull()
  })

  test('of a copy that is being removed is refused', () => {
    expect(() => givenUp(copy('deleting', { holds: HOLDS }), false)).toThrow(refused)
  })
})

describe('what a read proves', () => {
  const damage = { state: 'corrupt', error: LATE } as const
  const proof = { state: 'synced', holds: { id: A, etag: '"2"' }, verified: 9 } as const

  test.for(['synced', ...DOUBTFUL] as const)('of a copy that is %s is its new state', (state) => {
    const before = copy(state, { holds: HOLDS, verified: 5, error: LATE, shared: true })
    expect(found(before, damage)).toEqual({ ...before, ...damage })
    const { error: _, ...rest } = before
    expect(found(before, proof)).toEqual({ ...rest, ...proof })
  })

  test.for(['pending', 'failed', 'conflict', 'deleting'] as const)('of a copy that is %s is refused', (state) => {
    expect(() => damaged(copy(state), damage)).toThrow(refused)
    expect(() => whole(copy(state), proof)).toThrow(refused)
  })
})

test('doubted(): a synced copy is unknown, with the reason; any other is refused', () => {
  const before = copy('synced', { holds: HOLDS, verified: 5 })
  expect(doubted(before)).toMatchObject({ ...before, state: 'unknown', error: { code: 'UNAVAILABLE' } })
  for (const state of STATES.filter((one) => one !== 'synced')) expect(() => doubted(copy(state))).toThrow(refused)
})

test.for(STATES)('repaired() of a copy that is %s', (state) => {
  const before = copy(state, { holds: { id: A, etag: '"0"' }, tried: [B], verified: 5, error: LATE, shared: true })
  if (!DOUBTFUL.includes(state)) return expect(() => repaired(before, '"1"')).toThrow(refused)
  expect(repaired(before, '"1"')).toEqual(copy('pending', { shared: true, holds: HOLDS }))
  expect(repaired(before, undefined)).toEqual(copy('pending', { shared: true }))
})

describe('every transition from every state', () => {
  /** The diagram: where each leads; what is not listed is refused. `null`: no row. */
  const PUT = (id: BlobId) => (now: LocationFacts) => owed(now, wanted(id, { begun: true }))
  type Step = (now: LocationFacts) => LocationFacts | null
  const steps: Readonly<Record<string, [Step, Partial<Record<LocationState, (LocationState | null)[]>>]>> = {
    owed: [PUT(A), Object.fromEntries(STATES.map((state) => [state, ['pending']]))],
    'owed by another blob': [PUT(B), Object.fromEntries(STATES.map((state) => [state, ['pending']]))],
    written: [
      (now) => written(now, { id: A }, { etag: undefined, verified: 1 }),
      Object.fromEntries(STATES.map((state) => [state, [state === 'deleting' ? state : 'synced']])),
    ],
    'written by a job that was overtaken': [
      (now) => written(now, { id: C }, { etag: undefined, verified: 1 }),
      Object.fromEntries(STATES.map((state) => [state, [state]])),
    ],
    removed: [
      (now) => removed(now, { id: A }),
      Object.fromEntries(STATES.map((state) => [state, [state === 'deleting' ? null : state]])),
    ],
    parked: [
      (now) => parked(now, LATE),
      { ...Object.fromEntries(STATES.map((state) => [state, ['failed']])), deleting: ['deleting'], synced: [] },
    ],
    'owed again': [
      owedAgain,
      { ...Object.fromEntries(STATES.map((state) => [state, [state]])), failed: ['pending'], conflict: ['pending'] },
    ],
    'given up': [
      (now) => givenUp(now, false),
      { ...Object.fromEntries(STATES.map((state) => [state, ['deleting', null]])), deleting: [] },
    ],
    damaged: [(now) => damaged(now, { state: 'missing', error: LATE }), from(['synced', ...DOUBTFUL], 'missing')],
    whole: [(now) => whole(now, { holds: { id: A }, verified: 1 }), from(['synced', ...DOUBTFUL], 'synced')],
    doubted: [doubted, from(['synced'], 'unknown')],
    repaired: [(now) => repaired(now, undefined), from(DOUBTFUL, 'pending')],
    'shared by all': [sharedByAll, Object.fromEntries(STATES.map((state) => [state, [state]]))],
  }

  function from(states: LocationState[], to: LocationState) {
    return Object.fromEntries(states.map((state) => [state, [to]]))
  }

  const id = fc.constantFrom(A, B)
  const copies = fc
    .record({
      state: fc.constantFrom(...STATES),
      shared: fc.option(fc.constant(true as const), { nil: undefined }),
      holds: fc.option(fc.record({ id }), { nil: undefined }),
      tried: fc.option(fc.uniqueArray(id, { minLength: 1 }), { nil: undefined }),
      error: fc.option(fc.constant(LATE), { nil: undefined }),
    })
    .map(({ state, ...more }) => copy(state, Object.fromEntries(Object.entries(more).filter(([, value]) => value))))

  test.each(Object.entries(steps))(
    '%s leads where the diagram says, or is refused; the place stays',
    (_, [step, to]) => {
      fc.assert(
        fc.property(copies, (before) => {
          const given = structuredClone(before)
          const states = to[before.state] ?? []
          if (states.length === 0) {
            expect(() => step(before)).toThrow(refused)
            return
          }
          const after = step(before)
          expect(states).toContain(after?.state ?? null)
          expect(before, 'what was given is left as it was').toEqual(given)
          if (after) expect(after).toMatchObject(PLACE)
        }),
      )
    },
  )

  test('none leads to a copy to be removed of which nothing can lie there', () => {
    fc.assert(
      fc.property(copies, fc.boolean(), (before, begun) => {
        fc.pre(before.state !== 'deleting')
        const after = givenUp(before, begun)
        expect(after === null || after.holds !== undefined || (after.tried ?? []).length > 0).toBe(true)
      }),
    )
  })
})
