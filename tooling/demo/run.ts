// Stores a real folder, loses a backend half-way, gets it back, and compares every byte: npm run demo [-- DIR] [--keep] [--temp DIR]
import { fork } from 'node:child_process'
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { bytes } from './format.ts'
import { Progress } from './progress.ts'
import type { Reopened } from './reopen.ts'
import { describeRun } from './report.ts'
import { type Stored, storeAll } from './store-all.ts'
import { openDemoStore, type Places, placesIn } from './stores.ts'
import { choose, digestAll, findFiles, type Skipped, type SourceFile, totalSize } from './survey.ts'
import { readBack, readFolders, Verdict } from './verify.ts'

const INSTALLED = fileURLToPath(new URL('../../node_modules/.pnpm', import.meta.url))
/** Of the installed packages; of a folder that was named, everything. */
const LIMIT = 5000

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    keep: { type: 'boolean', default: false },
    temp: { type: 'string', default: tmpdir() },
    help: { type: 'boolean', default: false },
  },
})
if (values.help || positionals.length > 1) {
  console.error('usage: npm run demo [-- DIR] [--keep] [--temp DIR]\n')
  console.error('  DIR     the folder to store; default: installed packages of this repository')
  console.error('  --keep  leave store and backends where they are')
  console.error('  --temp  where they lie meanwhile; takes a little over twice the size of DIR')
  process.exit(values.help ? 0 : 2)
}
const source = resolve(positionals[0] ?? INSTALLED)
if (!(await stat(source).catch(() => null))?.isDirectory()) {
  console.error(`${source} is no folder`)
  process.exit(2)
}

const directory = mkdtempSync(join(resolve(values.temp), 'stored-demo-'))
const clean = (): void => (values.keep ? undefined : rmSync(directory, { recursive: true, force: true }))
process.once('SIGINT', () => {
  clean()
  process.exit(130)
})
try {
  process.exitCode = (await demo(placesIn(directory))) ? 0 : 1
} finally {
  clean()
}

interface Survey {
  readonly files: readonly SourceFile[]
  readonly skipped: readonly Skipped[]
  readonly links: number
}

/** @returns Whether everything is as it should be. */
async function demo(places: Places): Promise<boolean> {
  console.log(`StoreD stores ${source}
  in a fresh store with two backends, both of them folders. "folder" keeps every file under its own name, "vault" every
  distinct blob once, under its digest. In the middle of the run "folder" is taken away, and brought back a little later.
`)
  const { files, skipped, links } = await survey()
  if (files.length === 0) throw new Error('there is nothing to store')
  const stored = await store(places, files)
  writeFileSync(join(directory, 'expected.json'), JSON.stringify(stored.expected))
  const verdict = new Verdict()
  verdict.add(stored.readBack)
  const onDisk = await readFolders(places, stored.expected)
  verdict.add(onDisk.verdict)
  const reopened = await reopen()
  verdict.add(reopened, 'reopened, ')
  console.log(
    `\n${describeRun({ stored, onDisk, reopened, verdict, links, skipped: [...skipped, ...stored.skipped] })}`,
  )
  if (values.keep) console.log(`\nkept: ${directory}`)
  console.log(verdict.differences.length === 0 ? '\nEvery byte is where it should be.' : '\nSomething is wrong.')
  return verdict.differences.length === 0
}

async function survey(): Promise<Survey> {
  const found = await findFiles(source)
  const files = positionals[0] === undefined ? choose(found.files, LIMIT) : found.files
  const size = await totalSize(files)
  const { bavail, bsize } = statfsSync(directory)
  if (bavail * bsize < size * 3)
    throw new Error(`${directory} has ${bytes(bavail * bsize)} free; ${bytes(size * 3)} are needed: use --temp`)
  const progress = new Progress('digests, node:crypto', files.length)
  const digested = await digestAll({ files, skipped: found.skipped }, progress)
  progress.end()
  return { ...found, files: digested }
}

async function store(places: Places, files: readonly SourceFile[]): Promise<Stored & { readBack: Verdict }> {
  await using opened = await openDemoStore(places)
  const stored = await storeAll(opened, places, files)
  if (stored.expected.length === 0) throw new Error(`nothing could be stored: ${stored.skipped[0]?.why}`)
  return { ...stored, readBack: await readBack(opened, stored.expected, 'read back') }
}

function reopen(): Promise<Reopened> {
  const child = fork(fileURLToPath(new URL('reopen.ts', import.meta.url)), [directory])
  return new Promise((resolve, reject) => {
    let reopened: Reopened | undefined
    child.on('message', (message: Reopened) => {
      reopened = message
    })
    child.on('error', reject)
    child.on('exit', (code, signal) => {
      if (code === 0 && reopened) resolve(reopened)
      else reject(new Error(`the process that reopened the store ended with ${signal ?? `code ${code}`}`))
    })
  })
}
