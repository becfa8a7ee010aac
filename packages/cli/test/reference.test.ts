import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { COMMANDS } from '../src/command-line/command-table.ts'
import { parseFlags } from '../src/command-line/parse.ts'
import { EXIT, exitCodeOf } from '../src/errors/exit-codes.ts'
import { reference } from '../src/help/reference.ts'

describe('docs/cli.md', () => {
  it('matches the table of commands', async () => {
    const written = await readFile(new URL('../../../docs/cli.md', import.meta.url), 'utf8')
    expect(written).toBe(reference())
  })
})

describe('the table of commands', () => {
  it.each(COMMANDS)('$name is loaded from the module it names', async ({ load }) => {
    expect((await load()).run).toBeTypeOf('function')
  })

  it.each(COMMANDS)('$name has no flag twice', ({ flags }) => {
    expect(() => parseFlags([], flags)).not.toThrow()
    const spellings = flags.flatMap(({ name, short }) => [name, ...(short ? [short] : [])])
    expect(new Set(spellings).size).toBe(spellings.length)
  })

  it('has one meaning for each spelling of a flag: completions skip the values of those that take one', () => {
    const takes = new Map<string, boolean>()
    for (const { flags } of COMMANDS)
      for (const { name, short, value } of flags)
        for (const spelling of [name, short].filter((one) => one !== undefined)) {
          expect(takes.get(spelling) ?? value !== undefined, spelling).toBe(value !== undefined)
          takes.set(spelling, value !== undefined)
        }
  })
})

describe('exitCodeOf()', () => {
  it.each([
    ['USAGE', EXIT.usage],
    ['INVALID_ARGUMENT', EXIT.usage],
    ['INVALID_KEY', EXIT.usage],
    ['NOT_FOUND', EXIT.notFound],
    ['UNAVAILABLE', EXIT.temporary],
    ['TIMEOUT', EXIT.temporary],
    ['STAGING_FULL', EXIT.temporary],
    ['PERMISSION_DENIED', EXIT.denied],
    ['UNAUTHENTICATED', EXIT.denied],
    ['ALREADY_EXISTS', EXIT.conflict],
    ['PRECONDITION_FAILED', EXIT.conflict],
    ['CHECKSUM_MISMATCH', EXIT.integrity],
    ['CORRUPT', EXIT.integrity],
    ['NO_STORE', EXIT.noStore],
    ['LOCKED', EXIT.locked],
    ['ABORTED', EXIT.interrupted],
    ['INTERNAL', EXIT.general],
    ['something new', EXIT.general],
  ])('%s ends with %i', (code, exit) => {
    expect(exitCodeOf(code)).toBe(exit)
  })
})
