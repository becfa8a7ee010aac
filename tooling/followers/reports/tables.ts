import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type CaseReport, capabilityEntries, type ReportJson, withCapabilities } from '@stored/conformance'
import { committedReports } from './files.ts'

/** A file that is generated, in whole or in part, from committed reports. */
export interface GeneratedFile {
  /** Relative to the root of the repository. */
  readonly file: string
  readonly text: string
}

const MATRIX = 'docs/drivers.md'

/** The expected content of every file generated from reports. */
export function generatedFiles(root: string): GeneratedFile[] {
  const committed = committedReports(root)
  const readmes = committed
    .filter(({ directory, isMain }) => isMain && directory.startsWith('drivers'))
    .map(({ directory, report }) => readme(root, join(directory, 'README.md'), report))
  return [{ file: MATRIX, text: matrix(committed.map(({ report }) => report)) }, ...readmes]
}

/** Those that differ from the current files. */
export function staleFiles(root: string): GeneratedFile[] {
  return generatedFiles(root).filter(({ file, text }) => {
    const path = join(root, file)
    return !existsSync(path) || readFileSync(path, 'utf8') !== text
  })
}

function readme(root: string, file: string, report: ReportJson): GeneratedFile {
  return { file, text: withCapabilities(readFileSync(join(root, file), 'utf8'), report) }
}

/** The page about all drivers. */
export function matrix(reports: readonly ReportJson[]): string {
  return [
    '# Drivers',
    'Made by `node tooling/run.mjs reports` from the reports of the conformance kit, which lie beside each driver in `reports/`; a test\ncompares it. `memory` is for tests and ends with its process.',
    overview(reports),
    'Level `core` is every must-case of profile quick, `full` and `soak` those of the larger profiles too. A case is proved; refused, when it\nshows that what is not declared is refused; skipped, when it is about something that the driver does not declare or its harness\ncannot do; or waived, when it fails for a known reason.',
    '## Capabilities',
    capabilities(reports),
    ...waived(reports),
    ...unprovoked(reports),
    '## What was not run',
    ...reports.map(notRun),
  ]
    .join('\n\n')
    .concat('\n')
}

function overview(reports: readonly ReportJson[]): string {
  const rows = reports.map(({ driver, server, kit, level, profile, counts }) => [
    code(driver.name),
    driver.version ?? '',
    server ? `${server.name} ${server.version}` : 'this machine',
    kit,
    profile,
    level ?? 'none',
    ...[counts.proved, counts.refused, counts.skipped, counts.waived, counts.failed].map(String),
  ])
  const counts = ['proved', 'refused', 'skipped', 'waived', 'failed']
  return table(['driver', 'version', 'run against', 'kit', 'profile', 'level', ...counts], rows)
}

function capabilities(reports: readonly ReportJson[]): string {
  const columns = reports.map(capabilityEntries)
  const names = columns[0]?.map(({ name }) => name) ?? []
  const rows = names.map((name, i) => [code(name), ...columns.map((entries) => entries[i]?.value ?? '')])
  return table(['', ...reports.map(titleOf)], rows)
}

function waived(reports: readonly ReportJson[]): string[] {
  const rows = reports.flatMap((report) =>
    casesWith(report, 'waived').map(([id, { reason = '', issue = '' }]) => [titleOf(report), code(id), reason, issue]),
  )
  return rows.length === 0 ? [] : ['## Waived', table(['driver', 'case', 'reason', 'issue'], rows)]
}

function unprovoked(reports: readonly ReportJson[]): string[] {
  const rows = reports
    .filter((report) => report.unprovoked?.length)
    .map((report) => [titleOf(report), (report.unprovoked ?? []).map(code).join(' ')])
  return rows.length === 0 ? [] : ['## Errors that were never provoked', table(['driver', 'errors'], rows)]
}

function notRun(report: ReportJson): string {
  const reasons = Map.groupBy(casesWith(report, 'skipped'), ([, { reason = '' }]) => reason)
  const rows = [...reasons].map(([reason, cases]) => [reason, cases.map(([id]) => code(id)).join(' ')])
  return `**${titleOf(report)}**\n\n${table(['because', 'cases'], rows)}`
}

function casesWith({ cases }: ReportJson, status: CaseReport['status']): [string, CaseReport][] {
  return Object.entries(cases).filter(([, each]) => each.status === status)
}

function titleOf({ driver, server }: ReportJson): string {
  return server ? `${driver.name} on ${server.name} ${server.version}` : driver.name
}

function code(text: string): string {
  return `\`${text}\``
}

function table(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [titles, titles.map(() => '---'), ...rows]
  return lines.map((cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`).join('\n')
}
