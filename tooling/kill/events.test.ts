import { expect, test } from 'vitest'
import { faultsOf } from './events.ts'
import type { Told } from './protocol.ts'

const put = (key: string, sha256: string): Told => ({ op: 'put', key, sha256 })
const remove = (key: string): Told => ({ op: 'delete', key })

test('a log that tells every acknowledged call in the order of its key has no fault, with or without the call under way', () => {
  const told = [put('a', '1'), put('b', '2'), put('a', '3'), remove('b')]
  expect(faultsOf({ told }, { told, perhaps: [put('a', '4')] })).toEqual([])
  expect(faultsOf({ told: [...told, put('a', '4')] }, { told, perhaps: [put('a', '4')] })).toEqual([])
  // Keys have no order between them.
  expect(faultsOf({ told: told.toReversed() }, { told: told.toReversed(), perhaps: [] })).toEqual([])
})

test.each([
  ['leaves out', [put('a', '1')], [put('a', '1'), remove('a')]],
  ['tells twice', [put('a', '1'), put('a', '1')], [put('a', '1')]],
  ['tells out of order', [remove('a'), put('a', '1')], [put('a', '1'), remove('a')]],
  ['makes up', [put('a', '1')], []],
  ['tells with other bytes', [put('a', '2')], [put('a', '1')]],
])('a log that %s a call has a fault', (_, told, acknowledged) => {
  expect(faultsOf({ told }, { told: acknowledged, perhaps: [] })).toHaveLength(1)
})
