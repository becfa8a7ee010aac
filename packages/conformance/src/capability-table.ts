import { StorageError } from '@stored/core/backend'
import { CAPABILITY_TEXTS } from './capability-texts.ts'
import { cases } from './cases.ts'
import type { CaseStatus, ReportJson } from './report-json.ts'

const BEGIN = '<!-- capabilities -->'
const END = '<!-- /capabilities -->'
/** Left out of a table if the driver has none. */
const LIMIT = /^(limits|keys\.max)/
/** The value if a driver does not declare the capability. */
const DEFAULTS: Readonly<Record<string, unknown>> = {
  atomicOverwrite: true,
  'keys.caseSensitive': true,
  'keys.fileAndPrefix': true,
}

/**
 * What a report says about one capability: `yes`, `no` or its value, and whether one of its cases failed or was waived.
 */
export interface CapabilityEntry {
  readonly name: string
  readonly value: string
  /** What that means for users of the backend. */
  readonly text: string
}

/** Every capability of the contract, in the order of the tables. */
export function capabilityEntries(report: ReportJson): CapabilityEntry[] {
  return Object.entries(CAPABILITY_TEXTS).map(([name, { means, otherwise }]) => {
    const declared = declaredValue(report, name)
    const value = [printValue(declared), ...faultOf(report, name)].join(', ')
    return { name, value, text: printValue(declared) === 'no' ? otherwise : means }
  })
}

/**
 * A driver's capabilities as a Markdown table for its README. Limits that it does not have are left out.
 *
 * @throws {StorageError} INVALID_ARGUMENT: no instance could be opened in that run.
 */
export function capabilityTable(report: ReportJson): string {
  const rows = capabilityEntries(report).filter(({ name, value }) => !(LIMIT.test(name) && value === 'no'))
  const lines = rows.map(({ name, value, text }) => `| \`${name}\` | ${value} | ${text} |`)
  return ['| capability | | |', '| --- | --- | --- |', ...lines].join('\n')
}

/**
 * Inserts the table and the badge line between `<!-- capabilities -->` and `<!-- /capabilities -->` of `markdown`.
 *
 * @throws {StorageError} INVALID_ARGUMENT: the markers are missing.
 */
export function withCapabilities(markdown: string, report: ReportJson): string {
  const [from, to] = [markdown.indexOf(BEGIN), markdown.indexOf(END)]
  if (from < 0 || to < from)
    throw new StorageError(
      'INVALID_ARGUMENT',
      { op: 'report' },
      { detail: `the text does not contain ${BEGIN} and ${END}` },
    )
  const section = [BEGIN, '', capabilityTable(report), '', provenance(report), '', ''].join('\n')
  return markdown.slice(0, from) + section + markdown.slice(to)
}

function provenance({ badge, server, profile }: ReportJson): string {
  return `${badge} · profile ${profile}${server ? ` · ${server.name} ${server.version}` : ''}`
}

function declaredValue({ capabilities, cases: results }: ReportJson, name: string): unknown {
  if (capabilities === null)
    throw new StorageError('INVALID_ARGUMENT', { op: 'report' }, { detail: 'the report contains no capabilities' })
  const [group, member] = name.split('.') as [string, string | undefined]
  const found = (capabilities as unknown as Record<string, unknown>)[group]
  const value = member === undefined ? found : (found as Record<string, unknown> | undefined)?.[member]
  // An etag without a declaration is strong if there is one.
  if (name === 'etag') return value ?? (results['rt.etag']?.status === 'proved' ? 'strong' : undefined)
  return value ?? DEFAULTS[name]
}

function printValue(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? 'no' : value.join(', ')
  if (value === true) return 'yes'
  if (typeof value === 'number') return value.toLocaleString('en')
  return value ? String(value) : 'no'
}

/** The statuses of the cases that test a capability, if any of them is not good. */
function faultOf({ cases: results }: ReportJson, name: string): CaseStatus[] {
  const about = cases.filter(({ proves }) => (proves as readonly string[]).includes(name))
  const statuses = about.map(({ id }) => results[id]?.status)
  return (['failed', 'waived'] as const).filter((status) => statuses.includes(status)).slice(0, 1)
}
