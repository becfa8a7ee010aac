import { expect, test } from 'vitest'
import { valuesOf } from './listed.ts'

async function* listing(...keys: string[]) {
  for (const key of keys) yield { key, id: `sha256:sum of ${key}` }
}

test('a listing gives the checksums of its keys', async () => {
  expect(await valuesOf(listing('a', 'b'), ['a', 'b', 'c'])).toEqual({ a: 'sum of a', b: 'sum of b' })
})

test.each([
  ['yields a key twice', listing('a', 'b', 'a'), 'a is listed twice'],
  ['yields a key that nobody put', listing('a', 'x'), 'x is listed, and was never put'],
])('a listing that %s is reported, even if the values of all keys are right', async (_, entries, fault) => {
  await expect(valuesOf(entries, ['a', 'b'])).rejects.toThrow(fault)
})
