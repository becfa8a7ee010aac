import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

/** They touch no environment of LMDB, and what they replace they put back: a process serves many. */
const UNITS = '{packages,drivers,apps}/*/src/**/*.test.ts'
const LMDB = 'packages/lmdb/**'
const DRIVERS = 'drivers/*/test/**/*.test.ts'
/** Left out where `reports` proves the same drivers. */
const KIT = process.env.KIT_ELSEWHERE === '1' ? ['drivers/*/test/conformance.test.ts'] : []
// A template's tests are those of the package that is made of it.
const exclude = ['**/node_modules/**', '**/dist/**', '**/template/**']

export default defineConfig({
  test: {
    // Most wait for disks and children for half their time: with one fewer, as by default, a machine of two cores idles.
    maxWorkers: availableParallelism(),
    projects: [
      { extends: true, test: { name: 'units', include: [UNITS], exclude: [...exclude, LMDB], isolate: false } },
      {
        extends: true,
        test: {
          name: 'stores',
          include: ['{packages,apps}/*/test/**/*.test.ts', 'packages/lmdb/src/**/*.test.ts', 'tooling/**/*.test.ts'],
          exclude,
        },
      },
      // Behind the others and one after the other: each has servers of its own, and the kit measures how long some calls take.
      {
        extends: true,
        test: {
          name: 'drivers',
          include: [DRIVERS],
          exclude: [...exclude, ...KIT],
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
        },
      },
    ],
    // A process for each file, but of units: an LMDB environment is not to be opened twice in one.
    pool: 'forks',
    // For what hangs. A machine that does other things as well takes many times as long as a quiet one, and no test is to tell them apart.
    testTimeout: 300_000,
    // A busy disk may take seconds for a flush: what is awaited comes or never does.
    expect: { poll: { timeout: 60_000 } },
    hookTimeout: 300_000,
    // `.ci/run` counts from the second.
    reporters: process.env.CI
      ? ['default', ['json', { outputFile: 'node_modules/.vitest/results.json' }]]
      : ['default'],
  },
})
