// Kills a working store again and again and looks at what is left: npm run test:kill [-- N] [--seed S] [--dir DIR] [--keep]
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { parseArguments } from './arguments.ts'
import { Model, PHASES, type Phase } from './model.ts'
import { inspect, Victim } from './processes.ts'
import type { Message } from './protocol.ts'
import { Random } from './random.ts'
import { ageDebris, placesIn } from './stores.ts'

const WORKERS = 8
/** How long after the first sign of a phase the kill comes, at most. A commit takes less than a file. */
const WITHIN_MS: Readonly<Record<Phase, number>> = { put: 30, commit: 3, sync: 10 }
/** Signs of the phase that are let pass first. */
const LET_PASS = 60
/** What a start may take, whatever is queued. */
const READY_MS = 2000
const PATIENCE_MS = 60_000

const { wanted, seed, dir, keep } = parseArguments('test:kill', 50)
const random = new Random(seed)
const directory = mkdtempSync(join(dir, 'stored-kill-'))
const model = new Model()
const kills: Record<Phase | 'recovery', number> = { put: 0, commit: 0, sync: 0, recovery: 0 }
const openMs: number[] = []
let checked = 0

console.log(`${wanted} kills, seed ${seed}, in ${directory}`)
for (let round = 0; !isEnough() && model.violations.length === 0; round++) {
  await killWhileWorking(round, rarestPhase())
  if (random.below(4) === 0) await killWhileRecovering(round)
  await look()
}
report()
const isClean = model.violations.length === 0
if (isClean && !keep) rmSync(directory, { recursive: true })
else console.log(`kept: ${directory}`)
process.exitCode = isClean ? 0 : 1

/** So many kills, and a fifth of them in each phase. */
function isEnough(): boolean {
  const total = PHASES.reduce((sum, phase) => sum + kills[phase], 0)
  return total >= wanted && PHASES.every((phase) => kills[phase] >= wanted / 5)
}

function rarestPhase(): Phase {
  return [...PHASES].sort((a, b) => kills[a] - kills[b])[0] as Phase
}

async function killWhileWorking(round: number, phase: Phase): Promise<void> {
  const reached = Promise.withResolvers<void>()
  let toPass = random.below(LET_PASS)
  const victim = new Victim(
    directory,
    { seed: `${seed} ${round}`, bindings: model.bindings, workers: WORKERS },
    (message) => {
      model.hear(message)
      if (begins(message) === phase && --toPass < 0) reached.resolve()
    },
  )
  const patience = new AbortController()
  const tooLong = setTimeout(PATIENCE_MS, undefined, { signal: patience.signal }).then(() => {
    throw new Error(`no ${phase} within ${PATIENCE_MS / 1000} s`)
  })
  await Promise.race([reached.promise, victim.ended(), tooLong]).finally(() => patience.abort())
  tooLong.catch(() => {}) // Aborted: the phase was reached.
  await setTimeout(random.below(WITHIN_MS[phase] + 1))
  await victim.kill()
  count(phase)
}

/** A kill counts for a phase in which something provably was: the one it was meant for, else another. */
function count(meant: Phase): void {
  const found = [meant, ...PHASES].find((phase) => model.isIn(phase))
  if (found) kills[found]++
}

function begins(message: Message): Phase | null {
  if (message.type === 'intent') return message.call.op === 'put' ? 'put' : 'commit'
  if (message.type === 'read') return 'commit'
  return message.type === 'sync:start' ? 'sync' : null
}

/** A second kill, before the first one was recovered from. */
async function killWhileRecovering(round: number): Promise<void> {
  const work = { seed: `${seed} ${round} recovery`, bindings: {}, workers: 0 }
  const opened = Promise.withResolvers<void>()
  const victim = new Victim(directory, work, (message) => {
    if (message.type === 'parked') model.hear(message)
    if (message.type === 'open') opened.resolve()
  })
  // Sometimes before it is open, sometimes while it syncs.
  if (random.below(2) === 0) await Promise.race([opened.promise, victim.ended()])
  await setTimeout(random.below(200))
  await victim.kill()
  kills.recovery++
}

async function look(): Promise<void> {
  ageDebris(placesIn(directory))
  const finding = await inspect(directory, model.inspection())
  openMs.push(finding.openMs)
  checked += finding.checked
  model.violations.push(...finding.violations)
  if (finding.openMs > READY_MS) model.violations.push(`it took ${Math.round(finding.openMs)} ms to open`)
  model.settle(finding.bindings)
  if (process.stderr.isTTY)
    process.stderr.write(`\r\x1b[2K${PHASES.map((phase) => `${phase} ${kills[phase]}`).join(' · ')}`)
}

function report(): void {
  const sorted = [...openMs].sort((a, b) => a - b)
  const { done, undone } = model.interrupted
  const rows: [string, string | number][] = [
    ['killed while a source was read', kills.put],
    ['killed during a commit', kills.commit],
    ['killed during a sync', kills.sync],
    ['killed again while recovering', kills.recovery],
    ['calls acknowledged', model.acknowledged],
    ['calls under way when killed', `${done + undone}: ${done} wholly there, ${undone} wholly absent`],
    ['open and ready', `${sorted[sorted.length >> 1]?.toFixed(0)} ms, at most ${sorted.at(-1)?.toFixed(0)} ms`],
    ['reads and objects compared', checked],
    ['violations', model.violations.length],
  ]
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[2K')
  for (const [name, value] of rows) console.log(`  ${name.padEnd(32)} ${value.toLocaleString('en')}`)
  for (const violation of model.violations.slice(0, 20)) console.log(`VIOLATION: ${violation}`)
}
