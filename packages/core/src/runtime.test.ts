import { describe, expect, test } from 'vitest'
import manifest from '../package.json' with { type: 'json' }
import { NODE_RANGE, runtimeFault } from './runtime.ts'

describe('runtimeFault()', () => {
  test.each(['22.22.2', '22.30.0', '24.15.0', '24.15.1', '26.0.0', '27.1.0', '100.0.0'])('of %s is none', (version) => {
    expect(runtimeFault(version)).toBeNull()
  })

  test.each(['18.20.8', '20.20.2', '22.22.1', '22.9.3', '23.11.0', '24.14.9', '25.9.0'])(
    'of %s says what is needed, and which one this is',
    (version) => {
      const needed = 'needs Node.js 22 from 22.22.2, 24 from 24.15.0, or 26.0.0 and newer'
      expect(runtimeFault(version)).toBe(`${needed}; this is ${version} (${process.execPath})`)
    },
  )

  test('of the one that runs this is none', () => {
    expect(runtimeFault()).toBeNull()
  })

  test('goes by what the package says to npm', () => {
    expect(manifest.engines.node).toBe(NODE_RANGE)
  })
})
