// Measures StoreD against rivals that run in the same session: node tooling/bench/run.ts NAME… [--json]
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import type { Bench, Comparison } from './bench.ts'
import { benches } from './benches.ts'
import { Lab } from './lab.ts'
import { describeMachine, toJson, toTable } from './report.ts'

const USAGE = `usage: npm run bench -- NAME… [--json] [--rounds N] [--scale F] [--dir DIR]

  NAME      ${Object.keys(benches).join(' ')}, or all
  --json    one line for each comparison instead of a table
  --rounds  rounds of each comparison; the median counts (5)
  --scale   multiplies counts and sizes (1); below 1 the figures are for trying out only
  --dir     where to work (${tmpdir()}): on the disk that is to be measured
`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '5' },
    scale: { type: 'string', default: '1' },
    dir: { type: 'string', default: tmpdir() },
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
  const lab = new Lab({
    bench: bench.name,
    directory: place,
    rounds,
    scale,
    onProgress: (text) => show(`${bench.name}: ${text}`),
  })
  if (lab.noFlushes !== null) console.error(`${bench.name}: flushes are not counted and not delayed: ${lab.noFlushes}`)
  const comparisons: Comparison[] = await bench.run(lab)
  show('')
  if (values.json) for (const comparison of comparisons) console.log(toJson(comparison))
  else console.log(`${toTable(comparisons)}\n\n${bench.about}\n`)
  rmSync(place, { recursive: true })
}

/** On one line that is written over, where there is someone to see it. */
function show(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[2K${text}`)
}
