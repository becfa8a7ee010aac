import { expect, test } from 'vitest'
import { faultsOf } from './events.ts'
import type { Told } from './protocol.ts'

const put = (key: string, sha256: string): Told => ({ op: 'put', key, sha256 })
const remove = (key: string): Told => ({ op: 'delete', key })
const done = (call: Told) => ({ ...call, isAcknowledged: true })
const perhaps = (call: Told) => ({ ...call, isAcknowledged: false })

test('a log that tells every acknowledged call in the order of its key has no fault', () => {
  const told = [put('a', '1'), put('b', '2'), put('a', '3'), remove('b')]
  expect(faultsOf({ told }, told.map(done))).toEqual([])
  // Keys have no order between them.
  expect(faultsOf({ told: [told[1], told[3], told[0], told[2]] as Told[] }, told.map(done))).toEqual([])
})

test.each([
  ['nothing', []],
  ['the first', [put('a', '1')]],
  ['one after it', [put('a', '2')]],
  ['both', [put('a', '1'), put('a', '2')]],
])('of two calls that were not acknowledged a log may record %s', (_, told) => {
  expect(faultsOf({ told }, [perhaps(put('a', '1')), perhaps(put('a', '2'))])).toEqual([])
})

test('a call that was not acknowledged, followed by the same one acknowledged, may be recorded once or twice', () => {
  const calls = [perhaps(put('a', '1')), done(put('a', '1'))]
  expect(faultsOf({ told: [put('a', '1')] }, calls)).toEqual([])
  expect(faultsOf({ told: [put('a', '1'), put('a', '1')] }, calls)).toEqual([])
  expect(faultsOf({ told: [] }, calls)).toHaveLength(1)
})

test.each([
  ['leaves out', [put('a', '1')], [done(put('a', '1')), done(remove('a'))]],
  ['tells twice', [put('a', '1'), put('a', '1')], [done(put('a', '1'))]],
  ['tells out of order', [remove('a'), put('a', '1')], [done(put('a', '1')), done(remove('a'))]],
  [
    'tells out of order, not acknowledged,',
    [put('a', '2'), put('a', '1')],
    [done(put('a', '1')), perhaps(put('a', '2'))],
  ],
  ['makes up', [put('a', '1')], []],
  ['tells with other bytes', [put('a', '2')], [done(put('a', '1'))]],
  ['tells with bytes whose checksum begins alike', [put('a', '0123456789')], [done(put('a', '0123456788'))]],
])('a log that %s a call has a fault', (_, told, calls) => {
  expect(faultsOf({ told }, calls)).toHaveLength(1)
})
