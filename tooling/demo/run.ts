// Stores a real folder, loses a backend half-way, gets it back, and compares every byte:
// npm run demo [-- DIR] [--backends local,s3,sftp] [--files N] [--keep] [--temp DIR]
import { fork } from 'node:child_process'
import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { ServiceUnavailable } from '@stored/services'
import { bytes, count, table } from './format.ts'
import { closeMedia, FOLDERS, type Medium, NAMES, openMedia, SERVERS } from './media.ts'
import { Progress } from './progress.ts'
import type { Reopened, Task } from './reopen.ts'
import { describeRun } from './report.ts'
import { type Stored, storeAll } from './store-all.ts'
import { type Config, configIn, openDemoStore } from './stores.ts'
import { choose, digestAll, findFiles, type Skipped, type SourceFile, totalSize } from './survey.ts'
import { readBack, readMedia, Verdict } from './verify.ts'

const INSTALLED = fileURLToPath(new URL('../../node_modules/.pnpm', import.meta.url))
/** The maximum number of installed packages' files; a named folder is stored whole. Servers are slower. */
const LIMIT = { folders: 5000, servers: 1500 }

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    backends: { type: 'string', default: FOLDERS.join() },
    files: { type: 'string' },
    keep: { type: 'boolean', default: false },
    temp: { type: 'string', default: tmpdir() },
    help: { type: 'boolean', default: false },
  },
})
const names = values.backends.split(',')
const areKnown = values.backends === FOLDERS.join() || names.every((name) => NAMES.includes(name))
const files = values.files === undefined ? undefined : Number(values.files)
const areFiles = files === undefined || (Number.isInteger(files) && files > 0)
if (values.help || positionals.length > 1 || !areKnown || new Set(names).size < names.length || !areFiles) {
  console.error('usage: npm run demo [-- DIR] [--backends NAMES] [--files N] [--keep] [--temp DIR]\n')
  console.error('  DIR         the folder to store; default: installed packages of this repository')
  console.error(`  --backends  some of ${NAMES.join()}: a folder, Ceph RGW, OpenSSH; default: two folders`)
  console.error('  --files     this many of the files, spread evenly')
  console.error('  --keep      leave store and folders where they are')
  console.error('  --temp      where to put them in the meantime; takes a little over twice the size of DIR')
  process.exit(values.help ? 0 : 2)
}
const source = resolve(positionals[0] ?? INSTALLED)
if (!(await stat(source).catch(() => null))?.isDirectory()) {
  console.error(`${source} is not a folder`)
  process.exit(2)
}

const directory = mkdtempSync(join(resolve(values.temp), 'stored-demo-'))
const clean = (): void => (values.keep ? undefined : rmSync(directory, { recursive: true, force: true }))
process.once('SIGINT', () => {
  clean()
  process.exit(130)
})
try {
  process.exitCode = (await run()) ? 0 : 1
} finally {
  clean()
}

/** @returns Whether everything is correct. */
async function run(): Promise<boolean> {
  const servers = names.filter((name) => Object.hasOwn(SERVERS, name))
  if (servers.length > 0) console.log(`Starting ${servers.map((name) => `"${name}"`).join(' and ')} on this machine …`)
  let media: Medium[]
  try {
    media = await openMedia(names, directory)
  } catch (error) {
    if (!(error instanceof ServiceUnavailable)) throw error
    console.error(`Nothing was stored, since these servers cannot be started here:\n${error.message}`)
    return false
  }
  try {
    return await demo(media)
  } finally {
    await closeMedia(media)
  }
}

interface Survey {
  readonly files: readonly SourceFile[]
  readonly skipped: readonly Skipped[]
  readonly links: number
}

async function demo(media: readonly Medium[]): Promise<boolean> {
  const failing = media.findLast(({ backend }) => Object.hasOwn(SERVERS, backend.name)) ?? (media[0] as Medium)
  const config = configIn(
    directory,
    media.map(({ backend }) => backend),
  )
  console.log(describeMedia(media, failing))
  const { files, skipped, links } = await survey()
  if (files.length === 0) throw new Error('there is nothing to store')
  const stored = await store(config, failing, files)
  const verdict = new Verdict()
  verdict.add(stored.readBack)
  const found = await readMedia(media, stored.expected)
  verdict.add(found.verdict)
  const reopened = await reopen({ config, expected: stored.expected })
  verdict.add(reopened, 'reopened, ')
  const run = { media, failing, stored, found, reopened, verdict, links, skipped: [...skipped, ...stored.skipped] }
  console.log(`\n${describeRun(run)}`)
  if (values.keep) console.log(`\nkept: ${directory}`)
  console.log(verdict.differences.length === 0 ? '\nEvery byte is where it should be.' : '\nSomething is wrong.')
  return verdict.differences.length === 0
}

function describeMedia(media: readonly Medium[], failing: Medium): string {
  const layouts = { key: 'every file under its own name', id: 'every distinct blob once, under its digest' }
  const rows = media.map(
    ({ backend: { name, layout }, title }) => [`"${name}"`, `${title}: ${layouts[layout]}`] as const,
  )
  return `StoreD stores ${source}
in a fresh store with ${media.length === 1 ? 'one backend' : `${media.length} backends`}:
${table(rows)}
In the middle of the run "${failing.backend.name}" ${failing.outage}.
`
}

async function survey(): Promise<Survey> {
  const found = await findFiles(source)
  const chosen = choose(found.files, limit())
  const size = await totalSize(chosen)
  const { bavail, bsize } = statfsSync(directory)
  if (bavail * bsize < size * 3)
    throw new Error(`${directory} has ${bytes(bavail * bsize)} free; ${bytes(size * 3)} are needed: use --temp`)
  if (chosen.length < found.files.length)
    console.log(
      `${count(chosen.length)} of its ${count(found.files.length)} files, spread evenly (--files N: more or fewer)\n`,
    )
  const progress = new Progress('digests, node:crypto', chosen.length)
  const digested = await digestAll({ files: chosen, skipped: found.skipped }, progress)
  progress.end()
  return { ...found, files: digested }
}

function limit(): number {
  if (files !== undefined) return files
  if (positionals[0] !== undefined) return Number.POSITIVE_INFINITY
  return names.some((name) => Object.hasOwn(SERVERS, name)) ? LIMIT.servers : LIMIT.folders
}

async function store(
  config: Config,
  failing: Medium,
  sources: readonly SourceFile[],
): Promise<Stored & { readBack: Verdict }> {
  await using opened = await openDemoStore(config)
  const stored = await storeAll(opened, config, failing, sources)
  if (stored.expected.length === 0) throw new Error(`nothing could be stored: ${stored.skipped[0]?.why}`)
  return { ...stored, readBack: await readBack(opened, config.backends, stored.expected, 'read back') }
}

function reopen(task: Task): Promise<Reopened> {
  // It contains the keys of the servers.
  writeFileSync(join(directory, 'reopen.json'), JSON.stringify(task), { mode: 0o600 })
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
