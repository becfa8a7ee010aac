import { LmdbLedger } from '@stored/lmdb'
import { afterEach, describe, test, vi } from 'vitest'
import { fromEnvironment, TIMEOUT_MS, tell } from '../proof/inputs.ts'
import { Troubles } from '../proof/troubles.ts'
import { temp } from '../temp.ts'
import { KINDS, ROOMY, stormInMemory } from './in-memory.ts'
import { type Stormed, storm } from './storm.ts'

/** Repeats one: `STORM_SEED=7 STORM=1 npm test -- packages/node/test/storm`. In memory it repeats step by step. */
const SEED = fromEnvironment('STORM_SEED', 1)
/** How many there are of each kind. */
const STORMS = fromEnvironment('STORM', 2)

/** Two of them are files. */
const MIXED = [0, 50, 51, 70_000, 150_000]

const SEEDS = Array.from({ length: STORMS }, (_, i) => SEED + i)
/** A disk takes its time. */
const ON_DISK = SEEDS.slice(0, Math.ceil(STORMS / 2))

afterEach(() => {
  vi.restoreAllMocks()
})

describe(`${STORMS} storms from STORM_SEED=${SEED} on, of calls on a few keys and five blobs`, () => {
  test.each(KINDS)('$what, in memory', { timeout: TIMEOUT_MS }, async (kind) => {
    const all: Stormed[] = []
    for (const seed of SEEDS) {
      using troubles = new Troubles()
      all.push(await stormInMemory(kind, seed))
      if (troubles.seen.length > 0) throw troubles.seen[0]
    }
    tellOf(kind.what, all)
  })

  test.each(KINDS)('$what, in LMDB, with files', { timeout: TIMEOUT_MS }, async ({ what, ...kind }) => {
    const all: Stormed[] = []
    for (const seed of ON_DISK) {
      await using directory = await temp()
      using troubles = new Troubles()
      const ledger = await LmdbLedger.open({ path: directory.path, reserve: 0 })
      const subject = { ledger, directory: directory.path, sizes: MIXED, checkEvery: 8, until: asItIs }
      const limit = kind.limit === undefined ? {} : { limit: 300_000 }
      all.push(await storm({ ...ROOMY, ...kind, ...limit, ...subject, seed }))
      if (troubles.seen.length > 0) throw troubles.seen[0]
    }
    tellOf(what, all)
  })
})

function asItIs<T>(work: Promise<T>): Promise<T> {
  return work
}

function tellOf(what: string, all: readonly Stormed[]): void {
  const sum = (name: keyof Stormed) => all.reduce((total, one) => total + one[name], 0)
  tell(
    `${what}: ${sum('calls')} calls, ${sum('commits')} commits, ${sum('checks')} looks, ${sum('undecided')} undecided`,
  )
}
