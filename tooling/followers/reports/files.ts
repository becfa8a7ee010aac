import { globSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { ReportJson } from '@stored/conformance'

/** A committed report, and the package it is about. */
export interface CommittedReport {
  /** Relative to the root of the repository. */
  readonly file: string
  /** The driver's directory, relative to the root; the kit reports MemoryBackend. */
  readonly directory: string
  /** Whether it is the one that the driver's README shows: that of `test/harness.ts`. */
  readonly isMain: boolean
  readonly report: ReportJson
}

/** The paths of harnesses: `test/harness.ts`, and `test/harness-SERVER.ts` for each further server. */
const HARNESSES = '{packages/conformance,drivers/*}/test/harness{,-*}.ts'
const REPORTS = '{packages/conformance,drivers/*}/reports/*.json'

/** Paths of modules that export `harness`, relative to the root. */
export function harnessFiles(root: string): string[] {
  return globSync(HARNESSES, { cwd: root }).sort()
}

/** The path of a harness's report: `reports/NAME.json`, `reports/NAME-SERVER.json`. */
export function reportFile(harnessFile: string, driver: string): string {
  const server = basename(harnessFile, '.ts').replace('harness', '')
  return join(dirname(dirname(harnessFile)), 'reports', `${driver}${server}.json`)
}

export function committedReports(root: string): CommittedReport[] {
  return globSync(REPORTS, { cwd: root })
    .sort()
    .map((file) => {
      const report = JSON.parse(readFileSync(join(root, file), 'utf8')) as ReportJson
      return {
        file,
        directory: dirname(dirname(file)),
        isMain: basename(file, '.json') === report.driver.name,
        report,
      }
    })
}

/** One line for each case, so that a changed case is one line of a diff. */
export function printReport({ cases, ...facts }: ReportJson): string {
  const lines = Object.entries(cases).map(([id, result]) => `    ${JSON.stringify(id)}: ${oneLine(result)}`)
  const head = JSON.stringify(facts, null, 2).replace(/\n}$/, '')
  return `${head},\n  "cases": {\n${lines.join(',\n')}\n  }\n}\n`
}

function oneLine(value: unknown): string {
  return JSON.stringify(value, null, 1).replaceAll(/\n\s*/g, ' ')
}
