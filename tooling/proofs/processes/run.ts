// Several processes work on one store while one after the other is killed; then checks whether their observations are
// consistent: npm run test:processes [-- KILLS] [--seed S] [--dir DIR] [--keep]
import { hash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { parseArguments } from '@stored/kill/arguments'
import type { Content } from '@stored/kill/content'
import { inspect } from '@stored/kill/processes'
import { Random } from '@stored/kill/random'
import { ageDebris, openKillStore, placesIn } from '@stored/kill/stores'
import { History } from './history.ts'
import { Member } from './members.ts'
import { type Message, now, RESIDENTS } from './protocol.ts'

const SLOTS = RESIDENTS + 1
const BETWEEN_KILLS_MS = { least: 500, most: 2000 }
const TAKEOVER_MS = 10_000

const { wanted, seed, dir, keep: isKept } = parseArguments('test:processes', 20)
const random = new Random(seed)
const directory = mkdtempSync(join(dir, 'stored-processes-'))
const history = new History()
const members: Member[] = []
const kills = { leader: 0, other: 0 }
const takeoversMs: number[] = []
/** The last process that synced, and those waiting for the next. */
let leader: number | null = null
const awaitingSync = new Set<(slot: number, at: number) => void>()
let started = 0
let compared = 0

console.log(`${RESIDENTS} processes and a visitor, ${wanted} kills, seed ${seed}, in ${directory}`)
for (let slot = 0; slot < SLOTS; slot++) await start(slot)
await syncBy(() => true, now())
for (let kill = 0; kill < wanted && history.violations.length === 0; kill++) await killOne()
await Promise.all(members.map((member) => member.stop()))
history.end()
await readAll()
if (history.violations.length === 0) history.check()
report()
const isClean = history.violations.length === 0
if (isClean && !isKept) rmSync(directory, { recursive: true })
else keep()
process.exitCode = isClean ? 0 : 1

async function start(slot: number): Promise<void> {
  const name = String(started++)
  const member = new Member(directory, `${seed} ${name}`, slot, (message) => hear(slot, name, message))
  members[slot] = member
  await member.opened()
}

function hear(slot: number, name: string, message: Message): void {
  history.hear(name, message)
  if (message.type !== 'sync') return
  leader = slot
  for (const listener of awaitingSync) listener(slot, message.at)
}

async function killOne(): Promise<void> {
  const { least, most } = BETWEEN_KILLS_MS
  const rest = new AbortController()
  const pause = setTimeout(least + random.below(most - least), undefined, { signal: rest.signal })
  await Promise.race([pause, ...members.map((member) => member.ended())]).finally(() => rest.abort())
  // Usually the leader; the others count too.
  const slot = leader !== null && random.below(3) < 2 ? leader : random.below(SLOTS)
  const isLeader = slot === leader
  const at = now()
  await (members[slot] as Member).kill()
  kills[isLeader ? 'leader' : 'other']++
  if (isLeader) await measureTakeover(slot, at)
  await start(slot)
}

async function measureTakeover(killed: number, at: number): Promise<void> {
  const after = await syncBy((slot) => slot !== killed, at)
  if (after === null) history.violations.push(`nobody synced within ${TAKEOVER_MS / 1000} s of the leader's end`)
  else takeoversMs.push((after - at) / 1000)
}

/** @returns When one of these next syncs; `null`: not within the time limit of a takeover. */
async function syncBy(isOne: (slot: number) => boolean, since: number): Promise<number | null> {
  const heard = Promise.withResolvers<number>()
  const listener = (slot: number, at: number) => {
    if (at > since && isOne(slot)) heard.resolve(at)
  }
  awaitingSync.add(listener)
  const patience = new AbortController()
  const tooLong = setTimeout(TAKEOVER_MS, null, { signal: patience.signal })
  const first = await Promise.race([heard.promise, tooLong])
  awaitingSync.delete(listener)
  patience.abort()
  return first
}

/** What each key is bound to in the end belongs to its history, and everything left must agree with it. */
async function readAll(): Promise<void> {
  const allowed: Record<string, [Content | null]> = {}
  const store = await openKillStore(placesIn(directory))
  for (const key of history.keys) {
    const at = now()
    const bytes = await store.get(key).catch((error: Error & { code?: unknown }) => {
      if (error.code !== 'NOT_FOUND') history.violations.push(`reading ${key} at last: ${error.message}`)
      return null
    })
    const value = bytes && hash('sha256', bytes)
    history.read(key, at, now(), value)
    allowed[key] = [value === null ? null : (history.contents.get(value) ?? null)]
  }
  await store.close()
  ageDebris(placesIn(directory))
  const finding = await inspect(directory, { allowed, stored: [...history.contents.keys()] })
  compared = finding.checked
  history.violations.push(...finding.violations)
}

function keep(): void {
  const file = join(directory, 'violations.txt')
  if (history.violations.length > 0) writeFileSync(file, history.violations.join('\n'))
  console.log(`kept: ${directory}`)
}

function report(): void {
  const sorted = takeoversMs.toSorted((a, b) => a - b)
  const takeover = `${sorted[sorted.length >> 1]?.toFixed(0)} ms, at most ${sorted.at(-1)?.toFixed(0)} ms`
  const rows: [string, string | number][] = [
    ['killed while it led', kills.leader],
    ['killed while it followed', kills.other],
    ['synced again after the leader’s end', sorted.length > 0 ? takeover : 'not measured'],
    ['calls that returned', history.returned],
    ['calls under way when killed', history.interrupted],
    ['keys, each with a linearizable history', `${history.keys.length}, of at most ${history.longest} calls`],
    ['reads and objects compared at last', compared],
    ['violations', history.violations.length],
  ]
  for (const [name, value] of rows) console.log(`  ${name.padEnd(40)} ${value.toLocaleString('en')}`)
  for (const violation of history.violations.slice(0, 5)) console.log(`VIOLATION: ${violation}`)
  if (history.violations.length === 0) console.log(`${wanted} kills, every history linearizable, everything synced`)
}
