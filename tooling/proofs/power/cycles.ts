// Started by run.ts, in its own namespace: node cycles.ts [N] [--seed S] [--dir DIR] [--keep]
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { parseArguments } from '@stored/kill/arguments'
import { Model, PHASES, type Phase } from '@stored/kill/model'
import { rarest, recoverUntil, workUntil } from '@stored/kill/moment'
import { inspect, Victim } from '@stored/kill/processes'
import type { Message } from '@stored/kill/protocol'
import { Random } from '@stored/kill/random'
import { ageDebris, placesIn } from '@stored/kill/stores'
import { Ear } from './ear.ts'
import { WITHOUT_FLUSHES } from './requirements.ts'
import { FILE_SYSTEMS, Volume } from './volume.ts'

const WORKERS = 8
/** A process outlives the disk for at most this long. What it acknowledges then must be kept, too. */
const WITHOUT_DISK_MS = 50
/**
 * How a process may end before it is killed, once its disk is gone: LMDB maps its file into memory, and its message
 * about a page that it could not write overruns a buffer (decision 007).
 */
const MAY_END_WITH: readonly NodeJS.Signals[] = ['SIGBUS', 'SIGSEGV', 'SIGABRT']

/** Calls that a control acknowledges before its power is cut. */
const OF_A_CONTROL = 30

/** A store on its own file system. */
interface Bed {
  readonly volume: Volume
  readonly model: Model
}

const { wanted, seed, dir, keep } = parseArguments('test:power', 20)
const random = new Random(seed)
const root = mkdtempSync(join(dir, 'stored-power-'))
const volumes: Volume[] = []
process.once('exit', () => {
  for (const volume of volumes) volume.unmount()
  if (!isKept()) rmSync(root, { recursive: true, force: true })
})
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)
  process.once(signal, () => process.exit(code))

const cuts: Record<Phase | 'recovery', number> = { put: 0, commit: 0, sync: 0, recovery: 0 }
const violations: string[] = []
const openMs: number[] = []
const controls: string[] = []
let refused = 0
let endedByLmdb = 0
let checked = 0

console.log(`${wanted} power cuts, seed ${seed}, in ${root}`)
const beds = openVolumes()
for (const bed of beds) await tryControl(bed)
for (let cycle = 0; cycle < wanted && violations.length === 0; cycle++) {
  const bed = beds[cycle % beds.length] as Bed
  await cutWhileWorking(bed, cycle, rarest(cuts))
  if (random.below(4) === 0) await cutWhileRecovering(bed, cycle)
  await look(bed)
}
report()
process.exitCode = violations.length === 0 ? 0 : 1

function isKept(): boolean {
  return keep || violations.length > 0
}

function openVolumes(): Bed[] {
  try {
    for (const fileSystem of FILE_SYSTEMS) volumes.push(Volume.make(fileSystem, root))
  } catch (error) {
    console.log(`skipped: no file system can be mounted from a file: ${(error as Error).message}`)
    process.exit(0)
  }
  return volumes.map((volume) => ({ volume, model: new Model() }))
}

/** The same process and the same check, but its flushes do nothing: what it acknowledged must be seen to be lost. */
async function tryControl({ volume }: Bed): Promise<void> {
  const directory = join(volume.directory, 'control')
  mkdirSync(directory)
  const model = new Model()
  const work = { seed: `${seed} control`, bindings: {}, workers: WORKERS }
  const enough = Promise.withResolvers<void>()
  const hear = (message: Message) => {
    model.hear(message)
    if (model.acknowledged >= OF_A_CONTROL) enough.resolve()
  }
  const victim = new Victim(directory, work, hear, { env: WITHOUT_FLUSHES, mayEndWith: MAY_END_WITH })
  await Promise.race([enough.promise, victim.ended()])
  const acknowledged = Object.keys(model.bindings)
  volume.cut()
  await victim.kill()
  volume.recover(false)
  mkdirSync(directory, { recursive: true })
  const { allowed } = model.inspection()
  // An index of which a part is missing may not even open.
  const found = await inspect(directory, model.inspection(), true).catch(() => ({ bindings: {} }))
  const lost = acknowledged.filter((key) => !allowed[key]?.includes(null) && !Object.hasOwn(found.bindings, key)).length
  controls.push(`${volume.fileSystem} ${lost} of ${acknowledged.length}`)
  if (lost === 0) violations.push(`the control on ${volume.fileSystem} lost nothing: this machine cannot show a loss`)
  rmSync(directory, { recursive: true })
}

async function cutWhileWorking({ volume, model }: Bed, cycle: number, phase: Phase): Promise<void> {
  const work = { seed: `${seed} ${cycle}`, bindings: model.bindings, workers: WORKERS }
  const ear = new Ear(model)
  const victim = await workUntil(phase, random, volume.directory, work, ear.hear, { mayEndWith: MAY_END_WITH })
  ear.isCut = true
  volume.cut()
  count(model, phase)
  await setTimeout(random.below(WITHOUT_DISK_MS))
  await bury(victim)
  refused += ear.refused
  volume.recover(random.below(2) === 0)
}

/** A second cut, before recovery from the first one. */
async function cutWhileRecovering({ volume, model }: Bed, cycle: number): Promise<void> {
  const ear = new Ear(model)
  const seedOf = `${seed} ${cycle} recovery`
  const victim = await recoverUntil(random, volume.directory, seedOf, ear.hear, { mayEndWith: MAY_END_WITH })
  ear.isCut = true
  volume.cut()
  await bury(victim)
  volume.recover(random.below(2) === 0)
  cuts.recovery++
}

async function bury(victim: Victim): Promise<void> {
  if ((await victim.kill()) !== 'SIGKILL') endedByLmdb++
}

async function look({ volume, model }: Bed): Promise<void> {
  ageDebris(placesIn(volume.directory))
  const finding = await inspect(volume.directory, model.inspection())
  openMs.push(finding.openMs)
  checked += finding.checked
  violations.push(...[...model.violations, ...finding.violations].map((one) => `${volume.fileSystem}: ${one}`))
  model.settle(finding)
  if (process.stderr.isTTY)
    process.stderr.write(`\r\x1b[2K${PHASES.map((phase) => `${phase} ${cuts[phase]}`).join(' · ')}`)
}

function count(model: Model, meant: Phase): void {
  const found = model.findPhase(meant)
  if (found) cuts[found]++
}

function report(): void {
  const models = beds.map(({ model }) => model)
  const sum = (of: (model: Model) => number) => models.reduce((total, model) => total + of(model), 0)
  const [done, undone] = [sum(({ interrupted }) => interrupted.done), sum(({ interrupted }) => interrupted.undone)]
  const sorted = openMs.toSorted((a, b) => a - b)
  const rows: [string, string | number][] = [
    ['cut while a source was read', cuts.put],
    ['cut during a commit', cuts.commit],
    ['cut during a sync', cuts.sync],
    ['cut again while recovering', cuts.recovery],
    ['calls acknowledged', sum(({ acknowledged }) => acknowledged)],
    ['calls under way when cut', `${done + undone}: ${done} wholly there, ${undone} wholly absent`],
    ['calls refused once it was cut', refused],
    ['ended by LMDB once it was cut', endedByLmdb],
    ['open and ready', `${sorted[sorted.length >> 1]?.toFixed(0)} ms, at most ${sorted.at(-1)?.toFixed(0)} ms`],
    ['reads, objects, events compared', checked],
    ['lost by the control', controls.join(', ')],
    ['violations', violations.length],
  ]
  if (process.stderr.isTTY) process.stderr.write('\r\x1b[2K')
  for (const [name, value] of rows) console.log(`  ${name.padEnd(32)} ${value.toLocaleString('en')}`)
  for (const violation of violations.slice(0, 20)) console.log(`VIOLATION: ${violation}`)
  if (isKept()) console.log(`kept: ${root}`)
}
