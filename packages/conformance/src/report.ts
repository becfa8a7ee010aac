import type { Profile } from './case.ts'
import type { Waiver } from './harness.ts'
import type { View } from './subject.ts'

export type Result = Outcome & {
  readonly id: string
  readonly view: View
  readonly level: 'must' | 'should'
  readonly title: string
  readonly durationMs: number
}

export type Outcome =
  | { readonly status: 'proved' }
  | { readonly status: 'skipped'; readonly reason: string }
  | { readonly status: 'failed'; readonly error: Error }
  | { readonly status: 'waived'; readonly waiver: Waiver; readonly error: Error }

/** What a run showed. Each case is in exactly one of `proved`, `skipped`, `waived` and `failed`. */
export interface Report {
  readonly name: string
  readonly profile: Profile
  /** Repeats this run's payloads and choices. */
  readonly seed: number
  readonly proved: readonly Result[]
  /** Undeclared capabilities that were shown to be refused. */
  readonly refused: readonly string[]
  readonly skipped: readonly (Result & { status: 'skipped' })[]
  readonly waived: readonly (Result & { status: 'waived' })[]
  readonly failed: readonly (Result & { status: 'failed' })[]
  /** Whether no must-case failed. */
  readonly passed: boolean
}

export function makeReport(
  run: { name: string; profile: Profile; seed: number; refused: Iterable<string> },
  results: readonly Result[],
): Report {
  const failed = results.filter((result) => result.status === 'failed')
  return {
    name: run.name,
    profile: run.profile,
    seed: run.seed,
    proved: results.filter((result) => result.status === 'proved'),
    refused: [...run.refused].sort(),
    skipped: results.filter((result) => result.status === 'skipped'),
    waived: results.filter((result) => result.status === 'waived'),
    failed,
    passed: failed.every(({ level }) => level === 'should'),
  }
}

/** The report for people: the counts, then every case that was not proved, with its reason. */
export function formatReport(report: Report): string {
  const { proved, refused, skipped, waived, failed } = report
  const total = proved.length + skipped.length + waived.length + failed.length
  return [
    `${report.name} · StoreD conformance 1.0 · ${report.profile} · seed ${report.seed}`,
    `${proved.length}/${total} proved · ${failed.length} failed · ${waived.length} waived · ${skipped.length} skipped`,
    `refused: ${refused.join(', ') || 'nothing'}`,
    ...skipped.map((result) => `skipped ${label(result)}: ${result.reason}`),
    ...waived.map((result) => `waived  ${label(result)}: ${result.waiver.reason} (${result.waiver.issue})`),
    ...failed.map((result) => `failed  ${result.error.message}`),
  ].join('\n')
}

export function label({ id, view }: Pick<Result, 'id' | 'view'>): string {
  return view === 'raw' ? `${id} (raw)` : id
}
