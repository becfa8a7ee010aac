import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { check, type Operation, type Value } from './linearizability.ts'

type When = readonly [call: number, end: number | null]

const put = ([call, end]: When, value: string): Operation => ({
  ...{ call, return: end, becomes: value, what: `put ${value}` },
})
const read = ([call, end]: When, value: Value): Operation => ({
  ...{ call, return: end, found: { value }, what: `read ${value}` },
})
const remove = ([call, end]: When, existed: boolean): Operation => ({
  ...{ call, return: end, what: 'delete', becomes: null },
  // A call that never returned did not say what it found.
  ...(end !== null && { found: existed ? { not: null } : { value: null } }),
})
const create = ([call, end]: When, value: string, done: boolean): Operation => ({
  ...{ call, return: end, what: `create ${value}` },
  ...(done ? { found: { value: null }, becomes: value } : { found: { not: null } }),
})

describe('check() of a linearizable history', () => {
  test.each<[string, Operation[]]>([
    ['nothing happened', []],
    ['a read of nothing', [read([0, 1], null)]],
    ['one after the other', [put([0, 1], 'a'), read([2, 3], 'a'), remove([4, 5], true), read([6, 7], null)]],
    ['a read during a put finds the old value', [put([0, 1], 'a'), put([2, 5], 'b'), read([3, 4], 'a')]],
    ['a read during a put finds the new value', [put([0, 1], 'a'), put([2, 5], 'b'), read([3, 4], 'b')]],
    ['two concurrent puts, either last', [put([0, 5], 'a'), put([0, 5], 'b'), read([6, 7], 'a')]],
    ['of two concurrent creates one is refused', [create([0, 5], 'a', true), create([1, 4], 'b', false)]],
    ['a put of the current value', [put([0, 1], 'a'), put([2, 3], 'a'), read([4, 5], 'a')]],
    ['a call that never returned happened', [put([0, 1], 'a'), put([2, null], 'b'), read([3, 4], 'b')]],
    ['a call that never returned did not happen', [put([0, 1], 'a'), put([2, null], 'b'), read([3, 4], 'a')]],
    [
      'a call that never returned happened late',
      [put([0, 1], 'a'), put([2, null], 'b'), read([3, 4], 'a'), read([5, 6], 'b')],
    ],
    [
      'a call that never returned happened late, though it would have changed nothing earlier',
      [remove([0, null], true), read([1, 2], null), put([3, 4], 'a'), read([5, 6], 'a'), read([7, 8], null)],
    ],
    [
      'the order must be searched for',
      [put([0, 9], 'a'), put([0, 9], 'b'), put([0, 9], 'c'), read([1, 2], 'c'), read([3, 4], 'a')],
    ],
    ['returned at the moment of the next call', [put([0, 1], 'a'), read([1, 2], null)]],
  ])('%s', (_, history) => {
    expect(check(history)).toBe('linearizable')
    expect(check(history.toReversed())).toBe('linearizable')
  })
})

describe('check() of a history that is not linearizable', () => {
  test.each<[string, Operation[]]>([
    ['a read of a value that was never put', [read([0, 1], 'a')]],
    ['a lost write', [put([0, 1], 'a'), read([2, 3], null)]],
    ['a stale read', [put([0, 1], 'a'), put([2, 3], 'b'), read([4, 5], 'a')]],
    ['a read of a value that is put later', [read([0, 1], 'a'), put([2, 3], 'a')]],
    ['old after new', [put([0, 1], 'a'), put([2, 9], 'b'), read([3, 4], 'b'), read([5, 6], 'a')]],
    [
      'two readers that see two orders',
      [put([0, 9], 'a'), put([0, 9], 'b'), read([1, 2], 'a'), read([3, 4], 'b'), read([5, 6], 'a')],
    ],
    ['a deleted value returns', [put([0, 1], 'a'), remove([2, 3], true), read([4, 5], 'a')]],
    ['a delete that found what was not there', [remove([0, 1], true)]],
    ['a delete that missed what was there', [put([0, 1], 'a'), remove([2, 3], false)]],
    ['two calls that created one key', [create([0, 5], 'a', true), create([1, 4], 'b', true)]],
    ['a refusal without a reason', [create([0, 1], 'a', false), put([2, 3], 'b')]],
    [
      'a call that never returned happened twice',
      [put([0, 1], 'a'), put([2, null], 'b'), read([3, 4], 'b'), put([5, 6], 'c'), read([7, 8], 'b')],
    ],
    ['a call that never returned happened before its call', [read([0, 1], 'a'), put([2, null], 'a')]],
  ])('%s', (_, history) => {
    expect(check(history)).toBe('not linearizable')
    expect(check(history.toReversed())).toBe('not linearizable')
  })
})

/** A register with concurrent users, each operation taking effect at its own moment. */
const steps = fc.array(
  fc.record({ at: fc.nat(6000), before: fc.nat(60), after: fc.nat(60), kind: fc.nat(4), lost: fc.nat(99) }),
  { maxLength: 200, size: 'max' },
)
// Unbiased: all at one moment, they would have more orders than can be tried.
const histories = fc.noBias(steps).map((chosen) => {
  let value: Value = null
  return chosen
    .toSorted((a, b) => a.at - b.at)
    .map(({ at, before, after, kind, lost }, i): Operation => {
      // Apart from all others, so that the order of effects is one of real numbers.
      const moment = at + i / 1000
      const isLost = lost === 0
      // A lost call may have been in progress for long.
      const when: When = [moment - (isLost ? 20 * before : before) - 0.0001, isLost ? null : moment + after + 0.0001]
      const former = value
      if (kind < 2) return read(when, value)
      value = kind === 2 ? null : String(i)
      return kind === 2 ? remove(when, former !== null) : put(when, String(i))
    })
})

test('check() accepts everything a register does', () => {
  fc.assert(
    fc.property(histories, (history) => {
      expect(check(history)).toBe('linearizable')
    }),
    { numRuns: 100, endOnFailure: true },
  )
})

test('check() refuses one read of a value that was overwritten before the call', () => {
  fc.assert(
    fc.property(histories, (history) => {
      const end = Math.max(0, ...history.map((one) => Math.max(one.call, one.return ?? 0)))
      const late = [put([end + 1, end + 2], 'x'), put([end + 3, end + 4], 'y'), read([end + 5, end + 6], 'x')]
      expect(check([...history.filter((one) => one.return !== null), ...late])).toBe('not linearizable')
    }),
    { numRuns: 100, endOnFailure: true },
  )
})
