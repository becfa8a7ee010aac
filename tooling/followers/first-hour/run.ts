// Runs every command of docs/guides/first-hour.md in a terminal, with the packages as published, and compares the
// output with the guide. `--write` updates the guide. Needs a build, and tmux.
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { install, type Package, packAll, publicPackages, root } from '../tarballs.ts'
import { hasTmux, Terminal } from './terminal.ts'
import { differences, stepsOf, withOutputs } from './transcript.ts'

const GUIDE = 'docs/guides/first-hour.md'
const NEEDED = ['@stored/cli', '@stored/driver-fs']
/** The directory as the guide calls it. */
const HOME = '/home/you/first-hour'
/** Output that only a terminal gets: bold table headers, and a redrawn progress line. */
const MARKS = { colours: '\x1b[1m', progress: '\r\x1b[2Ksync ' }

async function main(isWriting: boolean): Promise<string[]> {
  const scratch = realpathSync(mkdtempSync(join(tmpdir(), 'first-hour-')))
  try {
    const directory = join(scratch, 'first-hour')
    mkdirSync(directory)
    const tarballs = packAll(closure(publicPackages()), join(scratch, 'tarballs'))
    const dependencies = Object.fromEntries([...tarballs].map(([name, tarball]) => [name, `file:${tarball}`]))
    const faults = install('first hour', directory, dependencies)
    return faults.length > 0 ? faults : await follow(directory, scratch, isWriting)
  } finally {
    rmSync(scratch, { recursive: true })
  }
}

/** Everything that must be installed together: a registry does not have this version of any of them. */
function closure(packages: readonly Package[]): Package[] {
  const names = new Set(NEEDED)
  for (const name of names) {
    const found = packages.find(({ manifest }) => manifest.name === name)
    if (found === undefined) throw new Error(`no public package is called ${name}`)
    const ours = Object.keys(found.manifest.dependencies ?? {}).filter((each) => each.startsWith('@stored/'))
    for (const each of ours) names.add(each)
  }
  return packages.filter(({ manifest }) => names.has(manifest.name))
}

async function follow(directory: string, scratch: string, isWriting: boolean): Promise<string[]> {
  const file = join(root, GUIDE)
  const guide = readFileSync(file, 'utf8')
  const steps = stepsOf(guide)
  using terminal = new Terminal(directory, scratch, join(directory, 'node_modules', '.bin'))
  const outputs: string[][] = []
  for (const { command } of steps)
    outputs.push((await terminal.run(command)).map((line) => line.replaceAll(directory, HOME)))
  if (isWriting) writeFileSync(file, withOutputs(guide, outputs))
  const { raw } = terminal
  const unseen = Object.entries(MARKS).filter(([, mark]) => !raw.includes(mark))
  console.log(`${steps.length} commands of ${GUIDE}`)
  return [
    ...(isWriting ? [] : steps.flatMap((step, i) => differences(GUIDE, step, outputs[i] ?? []))),
    ...unseen.map(([name]) => `the terminal was shown no ${name}`),
  ]
}

if (!hasTmux()) console.log('skipped: tmux is not installed')
else {
  const faults = await main(process.argv.includes('--write'))
  for (const fault of faults) console.error(fault)
  process.exitCode = faults.length === 0 ? 0 : 1
}
