// Makes system calls fail during a put, one after the other: npm run test:inject [-- --full] [--dir DIR] [--only CALL]
// [--keep]
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { inspect } from './inspect.ts'
import { CALLS, ERRORS, type Outcome } from './protocol.ts'
import { bytesOf, openInjectStore } from './store.ts'
import { type Fault, runVictim } from './trace.ts'

/** Without --full: every n-th call fails with the first error, and each of these with one of the others in turn. */
const SAMPLE = 8
/** What a rejection may say. Never that a key is absent or taken, or that the outcome is unknown. */
const SENSIBLE = ['UNAVAILABLE', 'NO_SPACE', 'PERMISSION_DENIED', 'TIMEOUT']

interface Point extends Fault {
  readonly call: string
}

class Tally {
  tried = 0
  missed = 0
  endedInOpen = 0
  fulfilled = 0
  readonly codes = new Map<string, number>()

  toString(): string {
    const rejected = [...this.codes].map(([code, count]) => `${code} ${count}`).join(', ')
    const missed = this.missed > 0 ? ` · ${this.missed} not met` : ''
    const ended = this.endedInOpen > 0 ? ` · ${this.endedInOpen} ended the process inside LMDB's open()` : ''
    return `${this.tried} points · ${this.fulfilled} without a rejection · rejected calls: ${rejected || 'none'}${ended}${missed}`
  }
}

const { values } = parseArgs({
  options: {
    full: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
    dir: { type: 'string', default: tmpdir() },
    only: { type: 'string' },
  },
})
const reason = whyNot()
if (reason !== null) {
  console.log(`skipped: ${reason}`)
  process.exit(0)
}
const root = realpathSync(mkdtempSync(join(values.dir, 'stored-inject-')))
const violations: string[] = []
const tallies = new Map<string, Tally>()
let count = 0

await prepare()
const points = await findPoints()
console.log(`${points.length} points${values.full ? '' : ', a sample (--full: all)'}, in ${root}`)
const queue = points.values()
await Promise.all(Array.from({ length: Math.min(4, availableParallelism()) }, () => work()))
report()
if (violations.length === 0 && !values.keep) rmSync(root, { recursive: true })
process.exitCode = violations.length === 0 ? 0 : 1

function whyNot(): string | null {
  if (process.platform !== 'linux') return 'strace is for Linux'
  const { error, status, stderr } = spawnSync('strace', ['-e', 'trace=none', 'true'], { encoding: 'utf8' })
  if (error) return 'strace is not installed'
  return status === 0 ? null : `strace cannot trace: ${stderr.trim()}`
}

/** The store that every run starts with a copy of. */
async function prepare(): Promise<void> {
  const store = await openInjectStore(join(root, 'base'))
  await store.put(bytesOf('before'), { key: 'before' })
  await store.synced()
  await store.close()
}

function copyBase(): string {
  const directory = join(root, String(count++))
  cpSync(join(root, 'base'), directory, { recursive: true })
  return directory
}

/** The calls of a run without faults. */
async function findPoints(): Promise<Point[]> {
  const directory = copyBase()
  const { ordinals, violations: wrong } = await runVictim(directory, Object.values(CALLS).join())
  if (wrong.length > 0) throw new Error(`without faults: ${wrong}`)
  const chosen = Object.entries(CALLS).filter(([call]) => values.only === undefined || values.only === call)
  return chosen.flatMap(([call, calls]) => {
    const nths = new Set(calls.split(',').flatMap((name) => [...(ordinals.get(name) ?? [])]))
    const sorted = [...nths].sort((a, b) => a - b)
    return ERRORS.flatMap((error, e) =>
      sorted
        .filter((_, i) => values.full || e === 0 || i % SAMPLE === e % SAMPLE)
        .map((nth) => ({ call, calls, error, nth })),
    )
  })
}

async function work(): Promise<void> {
  for (const point of queue) await tryPoint(point).catch((error: Error) => blame(point, [error.message]))
}

async function tryPoint(point: Point): Promise<void> {
  const directory = copyBase()
  const run = await runVictim(directory, point.calls, point)
  const tally = tallyOf(point)
  // The order of calls varies slightly, and waking a thread is a call, too.
  if (run.hitOthers || !run.hit) {
    tally.missed++
    return rmSync(directory, { recursive: true })
  }
  tally.tried++
  const wrong = [...run.violations]
  const rejected = run.outcomes.filter(
    (outcome) => outcome.code !== undefined && !isOfRejectedPut(outcome, run.outcomes),
  )
  if (run.endedInOpen) tally.endedInOpen++
  else if (rejected.length === 0) tally.fulfilled++
  for (const { call, code, message } of rejected) {
    tally.codes.set(String(code), (tally.codes.get(String(code)) ?? 0) + 1)
    if (!code || !SENSIBLE.includes(code)) wrong.push(`${call} rejects with ${code ?? 'no StorageError'}: ${message}`)
  }
  wrong.push(...(await inspect(directory, run.outcomes)))
  if (wrong.length > 0) blame(point, wrong)
  else rmSync(directory, { recursive: true })
}

/** A blob that was not stored is not there. */
function isOfRejectedPut({ call, code }: Outcome, outcomes: readonly Outcome[]): boolean {
  if (code !== 'NOT_FOUND' || !call.startsWith('get ')) return false
  return outcomes.some((other) => other.call === call.replace('get ', 'put ') && other.code !== undefined)
}

function tallyOf({ call, error }: Point): Tally {
  const name = `${call.padEnd(9)} ${error}`
  const tally = tallies.get(name) ?? new Tally()
  tallies.set(name, tally)
  return tally
}

function blame({ call, error, nth }: Point, wrong: readonly string[]): void {
  for (const one of wrong) violations.push(`${call} number ${nth} fails with ${error}: ${one}`)
}

function report(): void {
  for (const [name, tally] of [...tallies].sort(([a], [b]) => a.localeCompare(b)))
    console.log(`  ${name.padEnd(16)} ${tally}`)
  const sum = (of: (tally: Tally) => number) => [...tallies.values()].reduce((total, tally) => total + of(tally), 0)
  for (const violation of violations.slice(0, 40)) console.log(`VIOLATION: ${violation}`)
  console.log(
    `${sum((tally) => tally.tried)} points tried, ${sum((tally) => tally.endedInOpen)} ended inside LMDB's open() (known), ${sum((tally) => tally.missed)} not met, ${violations.length} violations`,
  )
}
