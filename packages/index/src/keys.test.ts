import fc from 'fast-check'
import { expect, test } from 'vitest'
import { blobPartition, placeOf, placeSuffix } from './keys.ts'

test('blobPartition() of an id is its 32 bytes', () => {
  const hex = '0123456789abcdef'.repeat(4)
  expect(blobPartition(`sha256:${hex}`).toString('hex')).toBe(hex)
})

test('placeOf() returns what placeSuffix() was given', () => {
  // No name holds a control character.
  const text = fc.string({ unit: 'binary', minLength: 1 }).filter((name) => !/\p{Cc}/u.test(name))
  fc.assert(
    fc.property(text, text, (backend, key) => {
      expect(placeOf(placeSuffix({ backend, key }))).toEqual({ backend, key })
    }),
  )
})
