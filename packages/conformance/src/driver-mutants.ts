import * as nodeTest from 'node:test'
import { closeMutants } from './close-mutants.ts'
import { skip, type TestRunner } from './conformance.ts'
import { copyMutants } from './copy-mutants.ts'
import { deleteManyMutants } from './delete-many-mutants.ts'
import type { DriverMutant } from './driver-mutant.ts'
import { failureMutants } from './failure-mutants.ts'
import type { Harness } from './harness.ts'
import { listingMutants } from './listing-mutants.ts'
import { overtakenMutants } from './overtaken-mutants.ts'
import { reconnectMutants } from './reconnect-mutants.ts'
import { runConformance } from './runner.ts'
import { spyOn } from './subject.ts'
import { sweepMutants } from './sweep-mutants.ts'

/** Each is a few lines around a driver. The kit is trusted with a harness as far as it detects them there. */
export const driverMutants: readonly DriverMutant[] = Object.freeze([
  ...failureMutants,
  ...listingMutants(10),
  ...copyMutants,
  ...deleteManyMutants,
  ...sweepMutants,
  ...reconnectMutants,
  ...overtakenMutants,
  ...closeMutants,
])

/** A harness whose instances have a fault. Separate processes do not have it. */
export function mutated(harness: Harness, { name, pageSize, change, declares }: DriverMutant): Harness {
  const open: Harness['open'] = async (options) => {
    const driver = await harness.open(options)
    const changed = change(driver)
    // Evaluated late: a driver may know its capabilities only once it is open.
    const get = () => Object.freeze({ ...driver.capabilities, ...declares })
    return spyOn(driver, [], declares ? Object.defineProperty(changed, 'capabilities', { get }) : changed)
  }
  return { ...harness, ...(pageSize !== undefined && { pageSize }), name: `${harness.name} ${name}`, open }
}

/**
 * Registers a test for each mutant of a driver: it passes if the cases meant for the fault detect it with this harness,
 * and is skipped if none of them can run with it.
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
        if (survived.length > 0) throw new Error(`${mutant.fault}, but ${survived.join(', ')} passed`)
      })
  })
}
