import type { Capabilities, StorageErrorCode } from '@stored/core/backend'
import { printable } from '@stored/core/printable'
import type { Profile } from './case.ts'
import type { Report, Result } from './report.ts'
import { KIT_VERSION } from './version.ts'

const PROFILES: readonly Profile[] = ['quick', 'full', 'soak']
const LEVELS: Readonly<Record<Profile, Level>> = { quick: 'core', full: 'full', soak: 'soak' }

/** The largest profile in which no must-case failed. */
export type Level = 'core' | 'full' | 'soak'

/**
 * A report as it is stored and shown: the same run gives the same text. Fields may be added; existing ones keep their
 * meaning.
 */
export interface ReportJson {
  /** The version of this format. */
  readonly format: 1
  readonly kit: string
  readonly driver: { readonly name: string; readonly version?: string }
  readonly server?: { readonly name: string; readonly version: string }
  readonly profile: Profile
  readonly seed: number
  /** `null` if a must-case of profile quick failed, or not every case was requested. */
  readonly level: Level | null
  /** One line for a README. Counts the cases that apply to the driver and that its harness can run. */
  readonly badge: string
  readonly counts: Readonly<Record<CaseStatus, number>>
  /** Errors that no case of the run provoked: how the driver reports them is unknown. Since kit 1.2. */
  readonly unprovoked?: readonly StorageErrorCode[]
  /** `null` if no instance could be opened. */
  readonly capabilities: Capabilities | null
  /** By id, in the order they ran. */
  readonly cases: Readonly<Record<string, CaseReport>>
}

/** `refused`: passed by showing that an undeclared capability is refused. */
export type CaseStatus = 'proved' | 'refused' | 'skipped' | 'waived' | 'failed'

/** The result of a case; of both its views, if it also ran on the driver. */
export interface CaseReport {
  readonly status: CaseStatus
  /** The capabilities that were refused. */
  readonly refused?: readonly string[]
  /** Why it was skipped or waived, or what was broken. */
  readonly reason?: string
  /** Where a waived case is tracked. */
  readonly issue?: string
}

/** A report as data, for files and tables. */
export function reportJson(report: Report): ReportJson {
  const { name, version, server, profile, seed, unprovoked, capabilities } = report
  const cases = casesOf(report)
  const counts = countsOf(Object.values(cases))
  return {
    format: 1,
    kit: KIT_VERSION,
    driver: { name, ...(version !== undefined && { version }) },
    // As the server names itself.
    ...(server !== undefined && { server: { name: printable(server.name), version: printable(server.version) } }),
    profile,
    seed,
    level: levelOf(report),
    badge: badgeOf(counts),
    counts,
    unprovoked,
    capabilities,
    cases,
  }
}

function casesOf({ results }: Report): Record<string, CaseReport> {
  const views = Map.groupBy(results, ({ id }) => id)
  return Object.fromEntries([...views].map(([id, each]) => [id, caseReport(each)]))
}

/** One status for all views: the worst; `skipped` only if none ran. */
function caseReport(views: readonly Result[]): CaseReport {
  const failed = views.find((view) => view.status === 'failed')
  if (failed) return { status: 'failed', reason: printable(failed.broken) }
  const waived = views.find((view) => view.status === 'waived')
  if (waived) return { status: 'waived', ...waived.waiver }
  const refused = views.flatMap((view) => (view.status === 'proved' ? view.refused : []))
  if (refused.length > 0) return { status: 'refused', refused: [...new Set(refused)] }
  const [first, ...others] = views
  if (first?.status === 'skipped' && others.every(({ status }) => status === 'skipped'))
    return { status: 'skipped', reason: first.reason }
  return { status: 'proved' }
}

function countsOf(cases: readonly CaseReport[]): Record<CaseStatus, number> {
  const counts = { proved: 0, refused: 0, skipped: 0, waived: 0, failed: 0 }
  for (const { status } of cases) counts[status]++
  return counts
}

function badgeOf({ proved, waived, failed }: Record<CaseStatus, number>): string {
  const notes = [...(waived ? [`${waived} waived`] : []), ...(failed ? [`${failed} failed`] : [])]
  return [`StoreD conformance ${KIT_VERSION}`, `${proved}/${proved + waived + failed}`, ...notes].join(' · ')
}

function levelOf({ results, profile, complete }: Report): Level | null {
  if (!complete) return null
  const run = PROFILES.slice(0, PROFILES.indexOf(profile) + 1)
  const broken = results
    .filter(({ status, level }) => status === 'failed' && level === 'must')
    .map((result) => PROFILES.indexOf(result.profile))
  const kept = run.slice(0, Math.min(run.length, ...broken)).at(-1)
  return kept === undefined ? null : LEVELS[kept]
}
