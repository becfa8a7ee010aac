import { spawnSync } from 'node:child_process'
import { afterEach, expect, test, vi } from 'vitest'
import { fromEnvironment, tell } from '../proof/inputs.ts'
import { KINDS, type Kind, stormInMemory } from '../storm/in-memory.ts'
import { atWork, type Mutant, NAME } from './mutant.ts'
import { MUTANTS } from './mutants.ts'

/** How many storms of each kind a mutant has to outlive. With 0 the tests alone are tried. */
const STORMS = fromEnvironment('STORM', 10, 0)
/** A regular expression: tries these alone. */
const ONLY = new RegExp(process.env.MUTANTS ?? '')

afterEach(() => {
  atWork(undefined)
  vi.restoreAllMocks()
})

test('without a mutant a storm finds nothing', async () => {
  await stormInMemory(KINDS[0] as Kind, 1)
})

test.each(MUTANTS.filter(({ what }) => ONLY.test(what)))('$what: is noticed', async (mutant) => {
  const killer = (await stormThatNotices(mutant)) ?? testThatNotices(mutant)
  tell(`| ${mutant.what} | ${killer ?? 'NOTHING'} |`)
  expect(killer).not.toBeNull()
})

async function stormThatNotices({ what }: Mutant): Promise<string | null> {
  atWork(what)
  for (let seed = 1; seed <= STORMS; seed++)
    for (const kind of KINDS)
      try {
        await stormInMemory(kind, seed)
      } catch (error) {
        return `storm: ${kind.what}, seed ${seed}: ${told(error as Error)}`
      } finally {
        vi.restoreAllMocks()
      }
  return null
}

/** The first that is wrong, without what differs from run to run. */
function told({ message }: Error): string {
  const line = message.split('\n')[1] ?? message
  return line.slice(0, 160)
}

/** In a process of its own: it may end otherwise than by failing. */
function testThatNotices({ what, test }: Mutant): string | null {
  if (test === undefined) return null
  const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--config', 'packages/node/test/mutants/vitest.config.ts']
  const env = { ...process.env, [NAME]: what }
  const { status } = spawnSync(process.execPath, [...vitest, '--bail', '1', test], { env, stdio: 'ignore' })
  return status === 0 ? null : test
}
