import { expect, test } from 'vitest'
import { Draft } from './draft.ts'
import type { Reader } from './ledger.ts'

const NOW = { ticket: 1n, now: 0 }
const KEY = Buffer.from('k')
const decodeText = (value: Buffer) => value.toString()

/** Rows of any tree, and how often each was asked for. */
function countingBase(rows: Record<string, Buffer>): { base: Reader; asked: string[] } {
  const asked: string[] = []
  const get: Reader['get'] = (_tree, key, decode) => {
    const name = key.toString()
    asked.push(name)
    const row = rows[name]
    return row && decode(row)
  }
  return { base: { get, range: () => [], piece: () => undefined }, asked }
}

test.for([
  ['a row', { k: Buffer.from('value') }, 'value'],
  ['a row that is not there', {}, undefined],
] as const)('get() of %s asks the base once in a run', ([, rows, value]) => {
  const { base, asked } = countingBase(rows)
  const draft = new Draft(base, NOW)
  expect([draft.get('keys', KEY, decodeText), draft.get('keys', KEY, decodeText)]).toEqual([value, value])
  expect(asked).toEqual(['k'])
})

test('get() keeps no bytes that the base uses again', () => {
  const reused = Buffer.from('first')
  const draft = new Draft(countingBase({ k: reused }).base, NOW)
  draft.get('keys', KEY, decodeText)
  reused.write('other')
  expect(draft.get('keys', KEY, decodeText)).toBe('first')
})

test('get() tells rows of two trees apart', () => {
  const { base, asked } = countingBase({ k: Buffer.from('value') })
  const draft = new Draft(base, NOW)
  draft.get('keys', KEY, decodeText)
  draft.get('blobs', KEY, decodeText)
  expect(asked).toEqual(['k', 'k'])
})

test('get() of a row that was read shows what the plan wrote since', () => {
  const draft = new Draft(countingBase({ k: Buffer.from('value') }).base, NOW)
  draft.get('keys', KEY, decodeText)
  draft.put('keys', KEY, Buffer.from('own'))
  expect(draft.get('keys', KEY, decodeText)).toBe('own')
  draft.remove('keys', KEY)
  expect(draft.get('keys', KEY, decodeText)).toBeUndefined()
})

test.each<[string, (draft: Draft) => unknown]>([
  ['get', (draft) => draft.get('keys', KEY, decodeText)],
  ['range', (draft) => draft.range('keys', { from: Buffer.of(0), to: Buffer.of(0xff) })],
  ['piece', (draft) => draft.piece({ pack: 1, offset: 0, length: 1 }, decodeText)],
  ['put', (draft) => draft.put('keys', KEY, Buffer.from('late'))],
])('%s() behind the end of the plan is INVALID_ARGUMENT: its rows may never have been committed', (_, call) => {
  const draft = new Draft(countingBase({}).base, NOW)
  draft.run(() => draft.put('keys', KEY, Buffer.from('own')))
  expect(() => call(draft)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
})
