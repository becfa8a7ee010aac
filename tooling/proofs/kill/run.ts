// Kills a working store repeatedly and checks what is left: npm run test:kill [-- N] [--seed S] [--dir DIR] [--keep]
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { parseArguments } from './arguments.ts'
import { Model, PHASES, type Phase } from './model.ts'
import { rarest, recoverUntil, workUntil } from './moment.ts'
import { inspect } from './processes.ts'
import { Random } from './random.ts'
import { ageDebris, placesIn } from './stores.ts'

const WORKERS = 8
/** How long a start may take, whatever is queued. */
const READY_MS = 2000

const { wanted, seed, dir, keep } = parseArguments('test:kill', 50)
const random = new Random(seed)
const directory = mkdtempSync(join(dir, 'stored-kill-'))
const model = new Model()
const kills: Record<Phase | 'recovery', number> = { put: 0, commit: 0, sync: 0, recovery: 0 }
const openMs: number[] = []
let checked = 0

console.log(`${wanted} kills, seed ${seed}, in ${directory}`)
for (let round = 0; !isEnough() && model.violations.length === 0; round++) {
  await killWhileWorking(round, rarest(kills))
  if (random.below(4) === 0) await killWhileRecovering(round)
  await look()
}
report()
const isClean = model.violations.length === 0
if (isClean && !keep) rmSync(directory, { recursive: true })
else console.log(`kept: ${directory}`)
process.exitCode = isClean ? 0 : 1

/** This many kills, and a fifth of them in each phase. */
function isEnough(): boolean {
  const total = PHASES.reduce((sum, phase) => sum + kills[phase], 0)
  return total >= wanted && PHASES.every((phase) => kills[phase] >= wanted / 5)
}

async function killWhileWorking(round: number, phase: Phase): Promise<void> {
  const work = { seed: `${seed} ${round}`, bindings: model.bindings, workers: WORKERS }
  const victim = await workUntil(phase, random, directory, work, (message) => model.hear(message))
  await victim.kill()
  count(phase)
}

function count(meant: Phase): void {
  const found = model.findPhase(meant)
  if (found) kills[found]++
}

/** A second kill, before recovery from the first one. */
async function killWhileRecovering(round: number): Promise<void> {
  const victim = await recoverUntil(random, directory, `${seed} ${round} recovery`, (message) => model.hear(message))
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
  model.settle(finding)
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
