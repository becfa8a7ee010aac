import type { Capabilities, StorageErrorCode } from '@stored/core/backend'
import { printable } from '@stored/core/printable'
import type { Profile } from './case.ts'
import type { Harness, Waiver } from './harness.ts'
import type { View } from './subject.ts'
import { KIT_VERSION } from './version.ts'

/** The result of one case in a run. */
export type Result = Outcome & {
  readonly id: string
  readonly view: View
  readonly level: 'must' | 'should'
  /** The smallest profile that runs the case. */
  readonly profile: Profile
  readonly title: string
  /** The errors that it makes the medium fail with. */
  readonly provokes: readonly StorageErrorCode[]
  readonly durationMs: number
}

/** How a case ended. */
export type Outcome =
  | {
      readonly status: 'proved'
      /** Undeclared capabilities that the case showed to be refused. */
      readonly refused: readonly string[]
    }
  | { readonly status: 'skipped'; readonly reason: string }
  | {
      readonly status: 'failed'
      readonly error: Error
      /** What was expected and what happened instead, without the rest of the message. */
      readonly broken: string
    }
  | { readonly status: 'waived'; readonly waiver: Waiver; readonly error: Error }

/** The results of a run. Each is in exactly one of `proved`, `skipped`, `waived` and `failed`. */
export interface Report {
  /** The driver's name. */
  readonly name: string
  /** The versions of the driver and of the server, if the harness tells. */
  readonly version?: string
  readonly server?: Harness['server']
  readonly profile: Profile
  /** Whether every case of the profile was requested. */
  readonly complete: boolean
  /** The capabilities of the instance that was opened first; `null` if none could be opened. */
  readonly capabilities: Capabilities | null
  /** Repeats this run's payloads and choices. */
  readonly seed: number
  /** Every case in every view, in the order of execution. */
  readonly results: readonly Result[]
  readonly proved: readonly (Result & { status: 'proved' })[]
  /** Undeclared capabilities that were shown to be refused. */
  readonly refused: readonly string[]
  /** Errors that no case of the run provoked: how the driver reports them is unknown. */
  readonly unprovoked: readonly StorageErrorCode[]
  readonly skipped: readonly (Result & { status: 'skipped' })[]
  readonly waived: readonly (Result & { status: 'waived' })[]
  readonly failed: readonly (Result & { status: 'failed' })[]
  /** Whether no must-case failed. */
  readonly passed: boolean
}

export type RunFacts = Pick<Report, 'name' | 'version' | 'server' | 'profile' | 'complete' | 'seed' | 'capabilities'>

export function makeReport(facts: RunFacts, results: readonly Result[]): Report {
  const proved = results.filter((result) => result.status === 'proved')
  const failed = results.filter((result) => result.status === 'failed')
  return {
    ...facts,
    results,
    proved,
    refused: [...new Set(proved.flatMap(({ refused }) => refused))].sort(),
    unprovoked: unprovokedBy(results),
    skipped: results.filter((result) => result.status === 'skipped'),
    waived: results.filter((result) => result.status === 'waived'),
    failed,
    passed: failed.every(({ level }) => level === 'should'),
  }
}

function unprovokedBy(results: readonly Result[]): StorageErrorCode[] {
  const provoked = new Set(results.flatMap(({ status, provokes }) => (status === 'skipped' ? [] : provokes)))
  const wanted = new Set(results.flatMap(({ provokes }) => provokes))
  return [...wanted].filter((code) => !provoked.has(code)).sort()
}

/**
 * The report for people: the counts, then every case that was not proved, with its reason. Server messages are escaped,
 * so that they cannot move the cursor of a terminal.
 */
export function formatReport(report: Report): string {
  const { proved, refused, unprovoked, skipped, waived, failed } = report
  const total = proved.length + skipped.length + waived.length + failed.length
  return [
    `${report.name} · StoreD conformance ${KIT_VERSION} · ${report.profile} · seed ${report.seed}`,
    `${proved.length}/${total} proved · ${failed.length} failed · ${waived.length} waived · ${skipped.length} skipped`,
    `refused: ${refused.join(', ') || 'nothing'}`,
    ...(unprovoked.length > 0 ? [`never provoked: ${unprovoked.join(', ')}`] : []),
    ...skipped.map((result) => `skipped ${label(result)}: ${result.reason}`),
    ...waived.map((result) => `waived  ${label(result)}: ${result.waiver.reason} (${result.waiver.issue})`),
    ...failed.flatMap((result) => `failed  ${result.error.message}`.split('\n')),
  ]
    .map(printable)
    .join('\n')
}

export function label({ id, view }: Pick<Result, 'id' | 'view'>): string {
  return view === 'raw' ? `${id} (raw)` : id
}
