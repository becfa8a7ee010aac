// Works on a store together with others, until it is killed or its input ends: node member.ts DIRECTORY SEED SLOT
// The last slot is a visitor, which repeatedly opens the store for a few calls and closes it.
import { hash } from 'node:crypto'
import { writeSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { bytesOf, type Content } from '@stored/kill/content'
import { Random } from '@stored/kill/random'
import { openKillStore, placesIn } from '@stored/kill/stores'
import { valuesOf } from './listed.ts'
import { type Answer, type Call, type Condition, MESSAGES_FD, type Message, now, RESIDENTS } from './protocol.ts'

const WORKERS = 2
const CALLS_PER_VISIT = 5
const CONTENDED = 3
/** How long the processes use the same keys: by the clock they share, so that they need not agree. */
const EPOCH_US = 500_000
/** Calls of one process for one key, so that a history has at most 200, even if a process is replaced. */
const CALLS_PER_KEY = { resident: 32, visitor: 15 } as const
const SYNC_EVERY_US = 20_000
const INLINE_MAX = 64 * 1024

const [directory, seed, slot] = process.argv.slice(2) as [string, string, string]
const kind = Number(slot) < RESIDENTS ? 'resident' : 'visitor'
const used = new Map<string, number>()
/** What it last saw each key bound to. */
const seen = new Map<string, string>()
let calls = 0
let saidAt = 0
const stopping = new AbortController()
let store = await open()

process.stdin.resume().once('end', () => stopping.abort())
tell({ type: 'open' })
if (kind === 'visitor') await visit(new Random(seed))
else await Promise.all(Array.from({ length: WORKERS }, (_, worker) => work(new Random(`${seed} ${worker}`))))
await store.close()

async function open(): ReturnType<typeof openKillStore> {
  const opened = await openKillStore(placesIn(directory))
  opened.on('sync:start', () => {
    if (now() - saidAt < SYNC_EVERY_US) return
    saidAt = now()
    tell({ type: 'sync', at: saidAt })
  })
  return opened
}

async function visit(random: Random): Promise<void> {
  while (!stopping.signal.aborted) {
    for (let left = CALLS_PER_VISIT; left > 0; left--) await step(random)
    await store.close()
    store = await open()
  }
}

async function work(random: Random): Promise<void> {
  while (!stopping.signal.aborted) await step(random)
}

async function step(random: Random): Promise<void> {
  const call = choose(random)
  if (call) await run(call)
  else await epochEnds()
}

async function epochEnds(): Promise<void> {
  const left = EPOCH_US - (now() % EPOCH_US)
  await setTimeout(Math.ceil(left / 1000), undefined, { signal: stopping.signal }).catch(() => {}) // Aborted: it stops.
}

/** @returns `null`: there were enough calls for the keys of this epoch. */
function choose(random: Random): Call | null {
  const epoch = Math.floor(now() / EPOCH_US)
  const keys = keysOf(epoch)
  const left = keys.filter((key) => (used.get(key) ?? 0) < CALLS_PER_KEY[kind])
  if (left.length === 0) return null
  const dice = random.below(20)
  if (dice === 0 && left.length === keys.length) return count({ op: 'list', keys })
  const key = random.pick(left)
  const isOwn = key.includes('contended') || key.endsWith(`private-${slot}`)
  if (dice < 6 || !isOwn) return count({ op: 'get', key })
  if (dice < 9) return count({ op: 'stat', key })
  if (dice < 11) return count({ op: 'delete', key })
  return count({ op: 'put', key, content: makeContent(random), on: chooseCondition(random, key) })
}

function keysOf(epoch: number): string[] {
  const contended = Array.from({ length: CONTENDED }, (_, i) => `epoch-${epoch}/contended-${i}`)
  return [...contended, ...Array.from({ length: RESIDENTS }, (_, i) => `epoch-${epoch}/private-${i}`)]
}

function count(call: Call): Call {
  for (const key of call.op === 'list' ? call.keys : [call.key]) used.set(key, (used.get(key) ?? 0) + 1)
  return call
}

function chooseCondition(random: Random, key: string): Condition {
  const dice = random.below(4)
  const sha256 = seen.get(key)
  if (dice === 0) return 'absent'
  return dice === 1 && sha256 !== undefined ? { sha256 } : 'any'
}

/** Mostly inline, sometimes a file of the staging area. */
function makeContent(random: Random): Content {
  const size = random.below(12) === 0 ? INLINE_MAX + 1 + random.below(INLINE_MAX) : 1 + random.below(2048)
  const source = { seed: `${seed} ${slot} ${calls} ${now()}`, size }
  return { ...source, sha256: hash('sha256', bytesOf(source)) }
}

async function run(call: Call): Promise<void> {
  const n = calls++
  tell({ type: 'call', n, at: now(), call })
  try {
    const answer = await perform(call)
    tell({ type: 'return', n, at: now(), answer })
  } catch (error) {
    tell({ type: 'failed', n, error: (error as Error).message })
  }
}

async function perform(call: Call): Promise<Answer> {
  if (call.op === 'put') return { op: 'put', done: await put(call) }
  if (call.op === 'delete') return { op: 'delete', existed: (await store.delete(call.key)).deleted.length > 0 }
  if (call.op === 'list') return { op: 'list', values: await list(call.keys) }
  const value = call.op === 'get' ? await get(call.key) : ((await store.stat(call.key))?.checksums.sha256 ?? null)
  if (value !== null) seen.set(call.key, value)
  return { op: call.op, value }
}

async function put({ key, content, on }: Extract<Call, { op: 'put' }>): Promise<boolean> {
  const condition =
    on === 'any' ? {} : on === 'absent' ? { ifAbsent: true } : { ifMatch: `sha256:${on.sha256}` as const }
  const refusal = on === 'absent' ? 'ALREADY_EXISTS' : 'PRECONDITION_FAILED'
  try {
    await store.put(bytesOf(content), { key, ...condition })
    return true
  } catch (error) {
    if (on !== 'any' && (error as { code?: unknown }).code === refusal) return false
    throw error
  }
}

async function get(key: string): Promise<string | null> {
  try {
    return hash('sha256', await store.get(key))
  } catch (error) {
    if ((error as { code?: unknown }).code === 'NOT_FOUND') return null
    throw error
  }
}

async function list(keys: readonly string[]): Promise<Record<string, string>> {
  const prefix = (keys[0] as string).slice(0, (keys[0] as string).indexOf('/') + 1)
  return valuesOf(store.list({ prefix }), keys)
}

function tell(message: Message): void {
  writeSync(MESSAGES_FD, `${JSON.stringify(message)}\n`)
}
