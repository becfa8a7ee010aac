import { MemoryLedger } from '@stored/ledger'
import { LmdbLedger } from '@stored/lmdb'
import { afterEach, describe, test, vi } from 'vitest'
import { Clock } from '../proof/clock.ts'
import { fromEnvironment, seedRandom, TIMEOUT_MS, tell } from '../proof/inputs.ts'
import { Troubles } from '../proof/troubles.ts'
import { temp } from '../temp.ts'
import { type Stormed, type StormOptions, storm } from './storm.ts'

/** Repeats one: `STORM_SEED=7 STORM=1 npm test -- packages/node/test/storm`. In memory it repeats step by step. */
const SEED = fromEnvironment('STORM_SEED', 1)
/** How many there are of each kind. */
const STORMS = fromEnvironment('STORM', 2)

const INLINE = [0, 50, 51, 52, 53]
/** Two of them are files. */
const MIXED = [0, 50, 51, 70_000, 150_000]

type Kind = { readonly what: string } & Pick<StormOptions, 'stores' | 'callers' | 'callsEach'> &
  Partial<Pick<StormOptions, 'limit' | 'highWater'>>

const KINDS: readonly Kind[] = [
  { what: 'one store', stores: 1, callers: 12, callsEach: 12 },
  { what: 'two stores on one ledger, as two processes have it', stores: 2, callers: 12, callsEach: 12 },
  { what: 'two stores, all calls at the same moment', stores: 2, callers: 150, callsEach: 1 },
  { what: 'two stores whose staging is full', stores: 2, callers: 12, callsEach: 12, limit: 200, highWater: 0 },
]

const ROOMY = { limit: 1e9, highWater: 0.5 }
const SEEDS = Array.from({ length: STORMS }, (_, i) => SEED + i)
/** A disk takes its time. */
const ON_DISK = SEEDS.slice(0, Math.ceil(STORMS / 2))

afterEach(() => {
  vi.restoreAllMocks()
})

describe(`${STORMS} storms from STORM_SEED=${SEED} on, of calls on three keys and five blobs`, () => {
  test.each(KINDS)('$what, in memory', { timeout: TIMEOUT_MS }, async ({ what, ...kind }) => {
    const all: Stormed[] = []
    for (const seed of SEEDS) {
      await using directory = await temp()
      using troubles = new Troubles()
      using clock = new Clock()
      seedRandom(seed)
      const until = <T>(work: Promise<T>) => clock.until(work)
      const ledger = new MemoryLedger()
      const subject = { ledger, directory: directory.path, sizes: INLINE, checkEvery: 1, until }
      all.push(await storm({ ...ROOMY, ...kind, ...subject, seed }))
      if (troubles.seen.length > 0) throw troubles.seen[0]
    }
    tellOf(what, all)
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
