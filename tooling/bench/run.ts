// Measures StoreD against rivals that run in the same session: node tooling/bench/run.ts NAME… [--json]
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { type Change, changes, install } from './against.ts'
import type { Bench, Comparison } from './bench.ts'
import { benches } from './benches.ts'
import { Lab } from './lab.ts'
import { describeMachine, toChangeTable, toJson, toTable } from './report.ts'
import { type Tree, Turns } from './tree.ts'

const USAGE = `usage: npm run bench -- NAME… [--json] [--rounds N] [--scale F] [--dir DIR] [--against DIR]

  NAME      ${Object.keys(benches).join(' ')}, or all
  --json    one line for each comparison instead of a table
  --rounds  rounds of each comparison; the median counts (5)
  --scale   multiplies counts and sizes (1); below 1 the figures are for trying out only
  --dir     where to work (${tmpdir()}): on the disk that is to be measured
  --against another checkout: runs these benches over its packages and over those of this tree, a process each by turns, and
            compares the two; rivals that run no StoreD are left out
`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '5' },
    scale: { type: 'string', default: '1' },
    dir: { type: 'string', default: tmpdir() },
    against: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})
const rounds = Number(values.rounds)
const scale = Number(values.scale)
const names = positionals.includes('all') ? Object.keys(benches) : positionals
const unknown = names.filter((name) => !Object.hasOwn(benches, name))
if (
  values.help ||
  names.length === 0 ||
  unknown.length > 0 ||
  !(Number.isInteger(rounds) && rounds > 0) ||
  !(scale > 0)
) {
  if (unknown.length > 0) console.error(`no bench ${unknown.join(', ')}\n`)
  console.error(USAGE)
  process.exit(values.help ? 0 : 2)
}

const other = values.against === undefined ? null : resolve(values.against)
if (other !== null) install(other)
mkdirSync(resolve(values.dir), { recursive: true })
const directory = mkdtempSync(join(resolve(values.dir), 'stored-bench-'))
const clean = (): void => rmSync(directory, { recursive: true, force: true })
process.once('SIGINT', () => {
  clean()
  process.exit(130)
})
try {
  if (!values.json) console.log(`${describeMachine(directory)}\n${describeRun()}\n`)
  for (const name of names) await runOne(benches[name] as Bench)
} finally {
  clean()
}

function describeRun(): string {
  const scaled = scale === 1 ? '' : `, counts and sizes × ${scale}: for trying out only`
  return `medians of ${rounds} ${rounds === 1 ? 'round' : 'rounds'}${scaled}`
}

async function runOne(bench: Bench): Promise<void> {
  const place = join(directory, bench.name)
  mkdirSync(place)
  const began = performance.now()
  const lines = other === null ? await beside(bench, place) : await against(bench, place, other)
  show('')
  for (const line of lines) console.log(line)
  if (!values.json)
    console.log(`\n${bench.about}\n${bench.name} took ${Math.round((performance.now() - began) / 1000)} s.\n`)
  rmSync(place, { recursive: true })
}

/** StoreD and its rivals. */
async function beside(bench: Bench, place: string): Promise<string[]> {
  const comparisons: Comparison[] = await bench.run(makeLab(bench, place))
  return values.json ? comparisons.map(toJson) : [toTable(comparisons)]
}

/** This tree and the other one. */
async function against(bench: Bench, place: string, other: string): Promise<string[]> {
  const turns = new Turns()
  const lab = (name: string, root: string | null) => {
    mkdirSync(join(place, name))
    return makeLab(bench, join(place, name), { root, turns })
  }
  const [now, before] = await Promise.all([bench.run(lab('now', null)), bench.run(lab('before', other))])
  const changed: Change[] = changes(now, before)
  return values.json ? changed.map((change) => JSON.stringify(change)) : [toChangeTable(changed)]
}

function makeLab(bench: Bench, place: string, tree?: Tree): Lab {
  const lab = new Lab({
    bench: bench.name,
    directory: place,
    rounds,
    scale,
    onProgress: (text) => show(`${bench.name}: ${text}`),
    ...(tree && { tree }),
  })
  if (lab.noFlushes !== null) console.error(`${bench.name}: flushes are not counted and not delayed: ${lab.noFlushes}`)
  return lab
}

/** On one line that is written over, where there is someone to see it. */
function show(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[2K${text}`)
}
