import { StorageError } from '@stored/core/backend'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isKey, toPath } from './paths.ts'

const at = { backend: 'fs', op: 'put' }

describe('toPath()', () => {
  it('puts every byte of a key below the root, unchanged', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 80 }).filter(isKey), (key) => {
        expect(toPath('/root', key, true, at)).toBe(`/root/${key}`)
      }),
    )
  })

  it('refuses keys that climb or that are the driver’s own, with INVALID_KEY', () => {
    for (const key of ['../x', 'a/../x', '/x', 'a//b', 'a/', '.', '.stored/x', 'a\0b', ''])
      expect(() => toPath('/root', key, true, at), JSON.stringify(key)).toThrow(StorageError)
  })

  it('refuses the driver’s directory in any case if the medium ignores case', () => {
    expect(toPath('/root', '.STORED/x', true, at)).toBe('/root/.STORED/x')
    expect(() => toPath('/root', '.STORED/x', false, at)).toThrow(/INVALID_KEY/)
  })

  it('accepts segments of 255 bytes and refuses longer ones', () => {
    expect(toPath('/', `a/${'x'.repeat(255)}`, true, at)).toBe(`/a/${'x'.repeat(255)}`)
    expect(() => toPath('/', `a/${'x'.repeat(256)}`, true, at)).toThrow(/256 bytes; at most 255 are/)
    expect(() => toPath('/', '\u{1f600}'.repeat(64), true, at)).toThrow(/256 bytes; at most 255 are/)
  })
})
