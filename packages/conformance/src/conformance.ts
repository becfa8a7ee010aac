import * as nodeTest from 'node:test'
import type { Harness } from './harness.ts'
import { label, type Result } from './report.ts'
import { endIfKept } from './resources.ts'
import { planRun, type RunOptions } from './runner.ts'

/** The two functions of a test runner that the kit uses: node:test, vitest, jest and mocha provide them. */
export interface TestRunner {
  describe(name: string, body: () => void): unknown
  /** If the runner passes a context with `skip` to the test, skipped cases are shown with their reason. */
  it(name: string, body: (...args: unknown[]) => Promise<void>): unknown
}

/**
 * Registers every case as a test: besides its harness, this is the whole of a driver's test file.
 *
 * @param on @default node:test
 * @throws {StorageError} INVALID_ARGUMENT for an unknown profile, case or waiver.
 */
export function conformance(harness: Harness, on: TestRunner = nodeTest, options: RunOptions = {}): void {
  const run = planRun(harness, options)
  const groups = Map.groupBy(run.planned, (planned) => planned.case.group)
  const failed: (Result & { status: 'failed' })[] = []
  on.describe(`${harness.name} conformance, seed ${run.state.seed}`, () => {
    for (const [group, planned] of groups)
      on.describe(group, () => {
        // Without a named parameter: jest and mocha would take that for a callback to wait for.
        for (const one of planned)
          on.it(`${label({ id: one.case.id, view: one.view })}: ${one.case.title}`, async (...args) => {
            const result = await run.execute(one)
            if (result.status === 'failed') failed.push(result)
            // Other runners end their processes themselves.
            if (on === nodeTest && one === run.planned.at(-1)) endIfLeftOpen(failed)
            if (result.status === 'failed' && result.level === 'must') throw result.error
            if (result.status === 'skipped') skip(args[0], result.reason)
            if (result.status === 'waived') skip(args[0], `waived: ${result.waiver.reason} (${result.waiver.issue})`)
            if (result.status === 'failed') skip(args[0], `should: ${result.error.message}`)
          })
      })
  })
}

function endIfLeftOpen(failed: readonly (Result & { status: 'failed' })[]): void {
  if (failed.some(({ id }) => id === 'lc.handles')) endIfKept({ failures: failed.map(({ error }) => error.message) })
}

/** Ends a test as skipped, if its runner can. */
export function skip(context: unknown, reason: string): void {
  const { skip } = (context ?? {}) as { skip?: (reason: string) => void }
  skip?.call(context, reason)
}
