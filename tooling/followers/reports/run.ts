// Runs the conformance kit on every driver that is available here, and writes their reports and the tables made from them.
//
//   node tooling/run.mjs reports                    everything
//   node tooling/run.mjs reports fs sftp            these drivers; the reports of others stay
//   node tooling/run.mjs reports --without s3-fauxqs
//   node tooling/run.mjs reports --profile soak
//   node tooling/run.mjs reports --tables           runs nothing: only the tables
//   node tooling/run.mjs reports --check            runs and writes nothing; fails if a table is stale
import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import {
  formatReport,
  loadHarness,
  type Profile,
  type Report,
  reportJson,
  runConformance,
  showProgress,
} from '@stored/conformance'
import { harnessFiles, printReport, reportFile } from './files.ts'
import { staleFiles } from './tables.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))
/** The same for every run, so that reports differ only where drivers do. */
const SEED = 1

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    profile: { type: 'string', default: 'full' },
    /** A report: a driver on one of its servers. */
    without: { type: 'string', multiple: true, default: [] },
    tables: { type: 'boolean', default: false },
    check: { type: 'boolean', default: false },
  },
})

/** @returns Whether everything succeeded. */
async function runAll(profile: Profile): Promise<boolean> {
  let isWell = true
  const lines: string[] = []
  for (const file of harnessFiles(root)) {
    const report = await runOne(file, profile).catch((error: Error) => error)
    if (report === null) continue
    if (report instanceof Error) {
      console.error(`${file}: ${report.stack}\n`)
      isWell = false
      continue
    }
    console.log(`${formatReport(report)}\n`)
    lines.push(...summaryOf(report))
    // A report of failures is only for the current user, not to be committed.
    if (report.passed) write(reportFile(file, report.name), printReport(reportJson(report)))
    else isWell = false
  }
  console.log(lines.join('\n'))
  return isWell
}

/** One line, and one for each waived case. */
function summaryOf({ name, server, profile, proved, refused, skipped, waived, failed }: Report): string[] {
  const place = server ? ` on ${server.name} ${server.version}` : ''
  const counts = `${proved.length} proved, ${refused.length} refused, ${skipped.length} skipped, ${waived.length} waived, ${failed.length} failed`
  return [
    `driver ${name}${place}, profile ${profile}: ${counts}`,
    // A case may fail in both of its views.
    ...new Set(
      waived.map(({ id, waiver }) => `driver ${name}${place}, waived ${id}: ${waiver.reason}, ${waiver.issue}`),
    ),
  ]
}

/** @returns `null` for a driver that was not requested, or cannot be run here. */
async function runOne(file: string, profile: Profile): Promise<Report | null> {
  if (!isMeant(file)) return null
  const harness = await loadHarness(join(root, file))
  if (typeof harness === 'string') {
    console.log(`${file}: not run: ${harness}\n`)
    return null
  }
  try {
    return await runConformance(harness, { profile, seed: SEED, ...showProgress() })
  } finally {
    await harness.close?.()
  }
}

function isMeant(file: string): boolean {
  const name = nameOf(file)
  if (values.without.includes(basename(reportFile(file, name), '.json'))) return false
  return positionals.length === 0 || positionals.includes(name)
}

function nameOf(harnessFile: string): string {
  const [, directory = ''] = harnessFile.split(/[/\\]/)
  // MemoryBackend has no package of its own.
  return directory === 'conformance' ? 'memory' : directory
}

function write(file: string, text: string): void {
  const path = join(root, file)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
  if (!file.endsWith('.json')) return
  const { status, stderr } = spawnSync('biome', ['format', '--write', file], { cwd: root, encoding: 'utf8' })
  if (status !== 0) throw new Error(`biome format ${file}: ${stderr}`)
}

function writeTables(): void {
  for (const { file, text } of staleFiles(root)) {
    write(file, text)
    console.log(`wrote ${file}`)
  }
}

function checkTables(): void {
  const stale = staleFiles(root)
  for (const { file } of stale) console.error(`${file} is stale: node tooling/run.mjs reports --tables`)
  if (stale.length > 0) process.exitCode = 1
}

const known = harnessFiles(root).map(nameOf)
const unknown = positionals.filter((name) => !known.includes(name))
if (unknown.length > 0) {
  console.error(`there is no harness of ${unknown.join(', ')}, but of ${known.join(', ')}`)
  process.exitCode = 2
} else if (values.check) checkTables()
else {
  if (!values.tables && !(await runAll(values.profile as Profile))) process.exitCode = 1
  writeTables()
}
