import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { mutate } from './mutant.ts'
import { MUTANTS } from './mutants.ts'

const ROOT = fileURLToPath(new URL('../../../../', import.meta.url))
/** These are tried in a moment. The others are for `npm run test:full`. */
const SAMPLE = '^settle: (?!bytes that)'

describe('guards that are taken out of plans', () => {
  const files = [...new Set(MUTANTS.map(({ file }) => file))]

  test.each(files)('in %s are those that stand there', (file) => {
    const mutants = MUTANTS.filter((one) => one.file === file)
    expect(() => mutate(readFileSync(`${ROOT}${file}`, 'utf8'), mutants)).not.toThrow()
  })

  test('have names of their own', () => {
    expect(new Set(MUTANTS.map(({ what }) => what)).size).toBe(MUTANTS.length)
  })

  test('are noticed by storms: those of settle', () => {
    const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--config', 'packages/node/test/mutants/vitest.config.ts']
    const { status, stdout } = spawnSync(
      process.execPath,
      [...vitest, 'packages/node/test/mutants/storms.mutants.ts'],
      {
        cwd: ROOT,
        env: { ...process.env, MUTANTS: SAMPLE, STORM: '2' },
        encoding: 'utf8',
      },
    )
    expect(stdout).not.toContain('NOTHING')
    expect(status, stdout).toBe(0)
  })
})
