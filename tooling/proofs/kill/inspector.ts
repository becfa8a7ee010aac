// Opens the store after a kill and checks everything: node inspector.ts DIRECTORY INSPECTION.json
import { hash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { scan, type Tree } from '@stored/ledger'
import { LmdbLedger } from '@stored/lmdb'
import { dumpOf, filesIn } from '@stored/testing/rows/dump'
import { checkLog as compareLog } from '@stored/testing/rows/replay'
import { checkRows } from '@stored/testing/rows/row-check'
import { bytesOf, type Content } from './content.ts'
import { faultsOf, readLog } from './events.ts'
import type { Bound, Finding, Inspection } from './protocol.ts'
import { BACKENDS, findDebris, objectKey, openKillStore, placesIn } from './stores.ts'

/** How long the sweep of a few files may take. */
const SWEEP_MS = 2000

type Store = Awaited<ReturnType<typeof openKillStore>>

const [directory, file] = process.argv.slice(2) as [string, string]
const { allowed, stored, log } = JSON.parse(readFileSync(file, 'utf8')) as Inspection
const places = placesIn(directory)
const violations: string[] = []
let checked = 0

await compareRows('as the kill left it')
const began = performance.now()
const store = await openKillStore(places)
await store.has(Object.keys(allowed)[0] ?? 'nothing')
const openMs = performance.now() - began
const bindings: Record<string, Bound> = {}
for (const [key, contents] of Object.entries(allowed)) {
  const content = await checkKey(store, key, contents)
  if (content) bindings[key] = content
}
await checkList(store)
if (log) await checkLog(store, log)
await checkUnbound(store)
await settle(store)
await checkRanges(store)
await checkCopies(store)
await awaitSweep()
const { last: lastEvent } = await readLog(store, log?.since ?? '0')
await store.close()
checkFolders()
await checkLedger()
await compareRows('in the end')
process.send?.({ openMs, bindings, lastEvent, checked, violations } satisfies Finding)

/** @returns What the key is bound to: one of the contents that it may be bound to, in full. */
async function checkKey(
  opened: Store,
  key: string,
  contents: readonly (Bound | null)[],
): Promise<Bound | null | undefined> {
  const record = await opened.stat(key)
  const content = contents.find((one) =>
    record ? one?.sha256 === record.checksums.sha256 && [undefined, record.custom[key]].includes(one.note) : !one,
  )
  if (content === undefined) {
    const found = record ? `${record.id} ${JSON.stringify(record.custom)}` : 'not there'
    violations.push(`${key} is ${found}, and should be ${contents.map((one) => JSON.stringify(one)).join(' or ')}`)
    return undefined
  }
  if (!record || !content) {
    if (await readsAs(opened, key, null)) checked++
    return null
  }
  const owed = record.locations.filter(({ state }) => state === 'pending' || state === 'synced')
  for (const backend of BACKENDS)
    if (!owed.some((location) => location.backend === backend && location.key === placeOf(backend, key, content)))
      violations.push(`${key} has no copy on ${backend}, nor shall it: ${JSON.stringify(record.locations)}`)
  if (record.size !== content.size) violations.push(`${key} has ${record.size} bytes, and should have ${content.size}`)
  for (const name of [key, record.id]) if (await readsAs(opened, name, content)) checked++
  return content
}

async function readsAs(opened: Store, name: string, content: Content | null): Promise<boolean> {
  const found = await opened.get(name).then(
    (bytes) => hash('sha256', bytes),
    (error: Error & { code?: unknown }) => (error.code === 'NOT_FOUND' ? null : error.message),
  )
  const expected = content?.sha256 ?? null
  if (found !== expected) violations.push(`reading ${name} gives ${found}, and should give ${expected}`)
  return found === expected
}

async function checkList(opened: Store): Promise<void> {
  const listed = new Set<string>()
  for await (const { key, id } of opened.list()) {
    if (listed.has(key)) violations.push(`${key} is listed twice`)
    listed.add(key)
    if (`sha256:${bindings[key]?.sha256}` !== id) violations.push(`${key} is listed as ${id}`)
  }
  for (const key of Object.keys(bindings)) if (!listed.has(key)) violations.push(`${key} is not listed`)
}

/** A blob that lost its last key, deleted or rebound, is gone with all its copies. */
async function checkUnbound(opened: Store): Promise<void> {
  const bound = new Set(Object.values(bindings).map(({ sha256 }) => sha256))
  for (const sha256 of stored) {
    const record = bound.has(sha256) ? null : await opened.stat(`sha256:${sha256}`)
    if (record) violations.push(`${sha256} is known without a key: ${JSON.stringify(record.locations)}`)
  }
}

async function settle(opened: Store): Promise<void> {
  await opened.synced().catch((error: Error) => violations.push(`not synced: ${error.message}`))
  for (const { name, jobs } of await opened.listBackends())
    if (jobs.waiting + jobs.running + jobs.parked + jobs.bytes !== 0)
      violations.push(`${name} still owes ${JSON.stringify(jobs)}`)
}

async function checkLog(opened: Store, expected: NonNullable<Inspection['log']>): Promise<void> {
  const found = await readLog(opened, expected.since)
  violations.push(...faultsOf(found, expected.told))
  checked += found.told.length
}

/**
 * A range of a copy is not hashed: only what the index recorded about the copy shows that it is still the one that was
 * written.
 */
async function checkRanges(opened: Store): Promise<void> {
  for (const [key, content] of Object.entries(bindings))
    for (const backend of content.size > 0 ? BACKENDS : []) {
      const range = { offset: content.size >> 1, length: Math.min(100, content.size - (content.size >> 1)) }
      const part = await opened.get(key, { backend, range }).catch((error: Error) => error)
      if (part instanceof Error) violations.push(`reading a part of ${backend}/${key}: ${part.message}`)
      else if (!part.equals(bytesOf(content).subarray(range.offset, range.offset + range.length)))
        violations.push(`a part of ${backend}/${key} has wrong bytes`)
      else checked++
    }
}

/** Everything is synced, so every copy must be intact. */
async function checkCopies(opened: Store): Promise<void> {
  for await (const { backend, key, error, ...result } of opened.verify()) {
    const state = result.checked ? result.state : 'unreadable'
    if (state === 'synced') checked++
    else violations.push(`verify() finds ${backend}/${key} ${state}: ${error?.message}`)
  }
}

/** Old debris is swept in the background of a start. */
async function awaitSweep(): Promise<void> {
  const end = performance.now() + SWEEP_MS
  while (findDebris(places).length > 0 && performance.now() < end) await setTimeout(10)
}

/** Checks the folders of the backends without StoreD: every object once, and nothing else. */
function checkFolders(): void {
  for (const backend of BACKENDS) {
    const expected = new Map(
      Object.entries(bindings).map(([key, content]) => [placeOf(backend, key, content), content.sha256]),
    )
    const root = places[backend]
    for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
      if (entry.isDirectory()) continue
      const path = join(entry.parentPath, entry.name)
      const key = path.slice(root.length + 1)
      if (key === '.stored/root') continue
      const digest = hash('sha256', readFileSync(path))
      if (!expected.has(key)) violations.push(`${backend}/${key} is nobody's`)
      else if (expected.get(key) !== digest) violations.push(`${backend}/${key} holds ${digest}`)
      else checked++
      expected.delete(key)
    }
    for (const key of expected.keys()) violations.push(`${backend}/${key} is missing`)
  }
}

/** With everything synced nothing is staged and nothing queued, and the index contains only what is bound. */
async function checkLedger(): Promise<void> {
  for (const name of readdirSync(join(places.store, 'staging')))
    if (name !== '.stored-id') violations.push(`staging holds ${name}, and nothing owes it`)
  const ledger = await LmdbLedger.open({ path: places.store })
  const rows = (tree: Tree) => [...scan(ledger, tree, Buffer.alloc(0), Buffer.alloc(40, 0xff))].map(([key]) => key)
  for (const tree of ['bytes', 'due', 'running', 'parked'] as const) {
    const [first, ...others] = rows(tree)
    if (first)
      violations.push(
        `the tree "${tree}" still holds ${JSON.stringify(first.toString('latin1'))}, and ${others.length} rows more`,
      )
  }
  const blobs = new Set(Object.values(bindings).map(({ sha256 }) => sha256))
  const known = new Set(rows('blobs').map((key) => key.toString('hex', 0, 32)))
  for (const sha256 of known)
    if (!blobs.has(sha256)) violations.push(`the index knows ${sha256}, and no key is bound to it`)
  for (const sha256 of blobs) if (!known.has(sha256)) violations.push(`the index does not know ${sha256}`)
  await ledger.close()
}

/** Compares every row with every other, and with the log. */
async function compareRows(when: string): Promise<void> {
  const ledger = await LmdbLedger.open({ path: places.store })
  const { rows, violations: wrong } = checkRows(dumpOf(ledger), await filesIn(join(places.store, 'staging'), false))
  await ledger.close()
  violations.push(...[...wrong, ...compareLog(rows)].map((what) => `${when}: ${what}`))
}

function placeOf(backend: (typeof BACKENDS)[number], key: string, { sha256 }: Content): string {
  return backend === 'vault' ? objectKey(sha256) : key
}
