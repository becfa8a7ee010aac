// Kills a process that syncs large blobs to Ceph, and Ceph itself, and counts what is sent again:
// npm run test:kill-remote [-- ROUNDS] [--blobs N] [--size MIB] [--part MIB] [--deadline S] [--seed S] [--dir DIR] [--keep]
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { S3Backend } from '@stored/driver-s3'
import { parseArguments } from '@stored/kill/arguments'
import type { Content } from '@stored/kill/content'
import { Random } from '@stored/kill/random'
import { offerService } from '@stored/services'
import { prepare } from './blobs.ts'
import { plan, type Stretch, syncUnderFire, type Target } from './fire.ts'
import type { Failed, Work } from './protocol.ts'
import { Server } from './server.ts'
import type { Syncer } from './syncers.ts'

const MIB = 1 << 20
/** What is killed in a round: every other time the syncing process. */
const TARGETS: readonly Target[] = ['syncer', 'gateway', 'syncer', 'store']
/** The driver's parts in flight at a time, over all uploads. */
const PARTS = 5
/** Headers, signatures and lists of parts between two kills, as a fraction of a part. */
const ENVELOPE = 0.1

interface Round {
  readonly target: Target
  readonly stretches: readonly Stretch[]
  /** Uploads that were left to the sweep. */
  readonly left: number
  readonly failures: number
}

/** The progress of the current round. */
interface Course {
  step: string
  syncer: Syncer | undefined
  readonly failures: Failed[]
}

const { wanted, seed, dir, keep, numbers } = parseArguments('test:kill-remote', 20, {
  blobs: 4,
  size: 256,
  part: 8,
  // For a round, in seconds.
  deadline: 300,
})
const part = numbers.part * MIB
const total = numbers.blobs * numbers.size * MIB
const underWay = PARTS * part

const service = await offerService('ceph-rgw', {
  CEPH_SUITE: 'forky',
  // The other one loses everything when it is killed.
  CEPH_STORE: 'bluestore',
  CEPH_GB: String(8 + Math.ceil((wanted * total) / 2 ** 30)),
})
if (typeof service === 'string') {
  console.log(`skipped: ${service}`)
  process.exit(0)
}
await using server = await Server.open(service)
const random = new Random(seed)
const directory = mkdtempSync(join(dir, 'stored-kill-remote-'))
const violations: string[] = []
const rounds: Round[] = []
let course: Course = { step: 'nothing', syncer: undefined, failures: [] }

console.log(`${wanted} rounds of ${numbers.blobs} × ${numbers.size} MiB to Ceph, seed ${seed}, in ${directory}
What arrived is not sent again. A kill may cost what is under way: ${PARTS} parts, together ${mib(underWay)}, and ${mib(ENVELOPE * part)} for headers.
`)
let isHung = false
for (let i = 0; i < wanted && violations.length === 0; i++) isHung = !(await endsInTime(i))
report()
const isClean = violations.length === 0
if (isClean && !keep) rmSync(directory, { recursive: true })
else console.log(`kept: ${directory}`)
process.exitCode = isClean ? 0 : 1
// What it waits for may never come.
if (isHung) process.exit()

async function endsInTime(i: number): Promise<boolean> {
  const over = new AbortController()
  const late = setTimeout(numbers.deadline * 1000, false, { signal: over.signal })
  const inTime = await Promise.race([runRound(i).then(() => true), late]).finally(() => over.abort())
  if (!inTime) await explain(i)
  return inTime
}

/** Reports the state of everything if a round takes too long. */
async function explain(i: number): Promise<void> {
  const { step, syncer, failures } = course
  violations.push(`round ${i}: not over after ${numbers.deadline} s, while ${step}`)
  const tries = failures.map(({ key, error }) => `${key} failed: ${error}`)
  const lines = [...(await server.standing()), ...((await syncer?.standing()) ?? []), ...tries]
  for (const line of lines) console.log(`     ${line}`)
}

async function runRound(i: number): Promise<void> {
  const target = TARGETS[i % TARGETS.length] as Target
  const work: Work = { store: join(directory, `store-${i}`), backend: server.where(part) }
  course = { step: 'putting the blobs', syncer: undefined, failures: [] }
  const contents = await prepare(work, `${seed} ${i}`, numbers.blobs, numbers.size * MIB)
  const { failures } = course
  const began = performance.now()
  const stretches = await syncUnderFire(
    { server, target, shots: plan(random, total, part), work, file: join(directory, 'work.json') },
    {
      onStep: (step) => Object.assign(course, { step }),
      onSyncer: (syncer) => Object.assign(course, { syncer }),
      onFailed: (failed) => failures.push(failed),
    },
  ).catch((error: Error) => {
    violations.push(`round ${i}: ${error.message}`)
    return []
  })
  course.step = 'comparing what arrived'
  const seconds = (performance.now() - began) / 1000
  const round = { target, stretches, left: await sweep(i, work), failures: failures.length }
  rounds.push(round)
  judge(i, stretches)
  await compare(i, contents)
  console.log(`${describe(i, round)}   ${seconds.toFixed(1)} s`)
  if (violations.length > 0) for (const { key, error } of failures) console.log(`     ${key}: ${error}`)
  await server.remove(contents.keys())
  if (!keep && violations.length === 0) rmSync(work.store, { recursive: true })
}

function judge(i: number, stretches: readonly Stretch[]): void {
  // A part that arrived although its answer did not is sent again after the kill during which it was in flight.
  let spared = 0
  for (const stretch of stretches) {
    const lost = stretch.sent - stretch.arrived
    const bound = boundOf(stretch)
    const what = `${mib(stretch.sent)} were sent for ${mib(stretch.arrived)} that were not there`
    if (lost > bound + spared)
      violations.push(`round ${i}, until ${percent(stretch.until)}: ${what}; ${mib(bound + spared)} more may be`)
    spared = stretch.isCut ? Math.min(underWay, Math.max(0, bound - lost)) : 0
  }
}

function boundOf({ isCut }: Stretch): number {
  return (isCut ? underWay : 0) + ENVELOPE * part
}

/** @returns The number of unfinished uploads: their process was killed before it had recorded them. */
async function sweep(i: number, { backend: where }: Work): Promise<number> {
  const left = await server.unfinished()
  const { signal } = new AbortController()
  const backend = new S3Backend(where)
  await backend.open({ log: () => {} })
  await backend.sweep({ olderThanMs: 0, signal })
  await backend.close()
  for (const { Key } of await server.unfinished()) violations.push(`round ${i}: an upload of ${Key} survived the sweep`)
  return left.length
}

async function compare(i: number, contents: ReadonlyMap<string, Content>): Promise<void> {
  const found = await server.digests()
  for (const [key, { sha256 }] of contents)
    if (found.get(key) !== sha256)
      violations.push(`round ${i}: ${key} has ${found.get(key)}, and should have ${sha256}`)
  for (const key of found.keys()) if (!contents.has(key)) violations.push(`round ${i}: ${key} is nobody's`)
}

function describe(i: number, { target, stretches, left }: Round): string {
  const kills = stretches.filter(({ isCut }) => isCut).map(({ until }) => percent(until))
  const at = kills.length > 0 ? `killed at ${kills.join(' and ')}` : 'not killed'
  const again = `sent again ${mib(againIn(stretches)).padStart(9)} of ${mib(sum(stretches, boundOf)).padStart(9)}`
  return `${String(i).padStart(3)}  ${target.padEnd(7)} ${at.padEnd(25)} ${again}, ${left} left to the sweep`
}

function report(): void {
  const ofTarget = (target: Target): string => {
    const stretches = rounds.filter((round) => round.target === target).flatMap((round) => round.stretches)
    const kills = stretches.filter(({ isCut }) => isCut).length
    const again = againIn(stretches)
    return `${kills} times; ${mib(again)} sent again, ${mib(again / Math.max(kills, 1))} a kill`
  }
  const all = rounds.flatMap(({ stretches }) => stretches)
  const rows: [string, string | number][] = [
    ['the process that syncs was killed', ofTarget('syncer')],
    ['the gateway was killed', ofTarget('gateway')],
    ['the store behind it was killed', ofTarget('store')],
    ['blobs that arrived, each compared', `${rounds.length * numbers.blobs}, of ${mib(rounds.length * total)}`],
    ['sent again', `${mib(againIn(all))}, of at most ${mib(sum(all, boundOf))}`],
    ['tries that failed, and were made again', sum(rounds, ({ failures }) => failures)],
    ['unfinished uploads left to the sweep', sum(rounds, ({ left }) => left)],
    ['violations', violations.length],
  ]
  console.log()
  for (const [name, value] of rows) console.log(`  ${name.padEnd(38)} ${value.toLocaleString('en')}`)
  for (const violation of violations.slice(0, 20)) console.log(`VIOLATION: ${violation}`)
}

function againIn(stretches: readonly Stretch[]): number {
  return sum(stretches, ({ sent, arrived }) => sent - arrived)
}

function sum<T>(items: readonly T[], what: (item: T) => number): number {
  return items.reduce((all, item) => all + what(item), 0)
}

function percent(bytes: number): string {
  return `${Math.round((bytes / total) * 100)} %`
}

function mib(bytes: number): string {
  return `${(bytes / MIB).toFixed(1)} MiB`
}
