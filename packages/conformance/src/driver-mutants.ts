import * as nodeTest from 'node:test'
import { type Capabilities, type StorageBackend, StorageError } from '@stored/core/backend'
import type { Profile } from './case.ts'
import { skip, type TestRunner } from './conformance.ts'
import type { Harness } from './harness.ts'
import { listingMutants } from './listing-mutants.ts'
import { runConformance } from './runner.ts'
import { spyOn } from './subject.ts'

/** A fault that any driver can be given, whatever its medium. */
export interface DriverMutant {
  readonly name: string
  /** What is wrong with it. */
  readonly fault: string
  /** The cases that have to fail. */
  readonly killedBy: readonly string[]
  /** The smallest profile in which they do. @default 'quick' */
  readonly profile?: Profile
  /** How many entries it lists at a time. @default as many as the driver */
  readonly pageSize?: number
  /** What it does otherwise than `driver`. */
  change(driver: StorageBackend): Partial<StorageBackend>
}

/** Of what a failure is mistaken for. */
const ofFailures: readonly DriverMutant[] = [
  {
    name: 'failure-as-null',
    fault: 'stat that fails says that nothing is there',
    killedBy: ['ft.broken'],
    change: (driver) => ({ stat: (...args) => driver.stat(...args).catch(() => null) }),
  },
  {
    name: 'failure-as-not-found',
    fault: 'get that fails says that nothing is there',
    killedBy: ['ft.broken'],
    change: (driver) => ({
      get: (key, options) =>
        driver.get(key, options).catch((cause) => {
          throw new StorageError('NOT_FOUND', { op: 'get', key }, { cause })
        }),
    }),
  },
  {
    name: 'failure-as-end',
    fault: 'list that fails just ends',
    killedBy: ['ft.broken'],
    change: (driver) => ({
      async *list(options) {
        try {
          yield* driver.list(options)
        } catch {
          // The fault: what is not listed reads as deleted.
        }
      },
    }),
  },
  {
    name: 'failure-as-deleted',
    fault: 'delete that fails resolves',
    killedBy: ['ft.broken'],
    change: (driver) => ({ delete: (...args) => driver.delete(...args).catch(() => {}) }),
  },
  {
    name: 'failures-of-many-forgotten',
    fault: 'deleteMany does not say what it could not delete',
    killedBy: ['ft.broken-many'],
    change: (driver) => ({
      ...declaring(driver, { deleteMany: true }),
      async deleteMany(keys, options) {
        for (const key of keys) await driver.delete(key, options).catch(() => {})
        return new Map()
      },
    }),
  },
]

/** Each is a few lines around a driver. The kit is trusted with a harness as far as it finds them there. */
export const driverMutants: readonly DriverMutant[] = Object.freeze([...ofFailures, ...listingMutants(10)])

/** A harness whose instances have a fault. Processes of their own do not have it. */
export function mutated(harness: Harness, { name, pageSize, change }: DriverMutant): Harness {
  const open: Harness['open'] = async (options) => {
    const driver = await harness.open(options)
    return spyOn(driver, [], change(driver))
  }
  return { ...harness, ...(pageSize !== undefined && { pageSize }), name: `${harness.name} ${name}`, open }
}

/**
 * Registers a test for each mutant of a driver: it passes where the cases that are meant for the fault see it with this harness, and
 * is skipped where none of them can be run with it.
 *
 * @param on @default node:test
 */
export function killMutants(harness: Harness, on: TestRunner = nodeTest): void {
  on.describe(`the kit sees what is wrong with ${harness.name}`, () => {
    for (const mutant of driverMutants)
      on.it(`${mutant.name}: ${mutant.fault}`, async (...args) => {
        const { killedBy: only, profile = 'quick' } = mutant
        const { failed, skipped } = await runConformance(mutated(harness, mutant), { only, profile, seed: 1 })
        const survived = only.filter((id) => !failed.some((result) => result.id === id))
        const reasons = skipped.filter(({ id }) => survived.includes(id)).map(({ reason }) => reason)
        if (survived.length > 0 && reasons.length === survived.length) return skip(args[0], reasons.join(', '))
        if (survived.length > 0) throw new Error(`${mutant.fault}, and ${survived.join(', ')} passed all the same`)
      })
  })
}

/** What a driver declares, and more. Of a driver that is open only: before, it may not know. */
function declaring(driver: StorageBackend, more: Partial<Capabilities>): Partial<StorageBackend> {
  return {
    get capabilities() {
      return Object.freeze({ ...driver.capabilities, ...more })
    },
  }
}
