import { isDeepStrictEqual } from 'node:util'
import type { BlobId, BlobRecord, Job, JobCounts, LocationState } from '@stored/core'
import { compareKeys } from '@stored/core/backend'
import { expect } from 'vitest'
import { collect, collectPages } from '../ports/subject.ts'
import { DAMAGED, type Model, type ModelPlace, OWING } from './model.ts'
import type { Name, World } from './world.ts'

const NEVER = new AbortController().signal

/** A store, what it shall be, and its blobs. */
export interface Run {
  readonly world: World
  readonly model: Model
  readonly blobs: ReadonlyMap<BlobId, Buffer>
  /** Backends on which nothing may change: paused, with no job under way. */
  frozen: ReadonlySet<Name>
}

/** As `expect().toEqual()`, which takes too long for what is compared 100,000 times. */
export function equal(actual: unknown, expected: unknown, what: string): void {
  if (!isDeepStrictEqual(actual, expected)) expect(actual, what).toEqual(expected)
}

export function demand(holds: boolean, what: string): void {
  if (!holds) throw new Error(what)
}

/** Compares all that can be seen, and takes over what only time decides. */
export async function compare(run: Run): Promise<void> {
  const { world, model, blobs } = run
  await world.still()
  const listed = await collect(world.store.list())
  equal(
    listed.map(({ key, id }) => [key, id]),
    [...model.bindings].sort(([a], [b]) => compareKeys(a, b)).map(([key, { id }]) => [key, id]),
    'bindings, in UTF-8 order',
  )
  for (const id of blobs.keys()) {
    const record = await world.store.stat(id)
    demand((record === null) === !model.facts.has(id), `${id} is ${record ? '' : 'not '}known`)
    if (!record) continue
    compareRecord(run, record)
    for (const { version: _, ...shown } of listed)
      if (shown.id === id) {
        const expected = { id, size: record.size, ...model.named(shown.key), locations: ownOf(shown.key, record) }
        equal(shown, expected, 'the record under a key')
      }
  }
  await compareStaging(run)
  await compareJobs(run)
}

/** What of the copies of a blob lasts as long as a key. */
function ownOf(bound: string, { locations }: BlobRecord): BlobRecord['locations'] {
  return locations.filter(({ key, shared }) => shared || key === bound)
}

function compareRecord({ model, frozen }: Run, { locations, version: _, ...facts }: BlobRecord): void {
  equal(facts, { ...model.facts.get(facts.id), ...model.named(facts.id) }, 'the facts of a blob')
  const places = model.placesOf(facts.id)
  const names = (all: readonly { backend: string; key: string }[]) => all.map((at) => `${at.backend}/${at.key}`).sort()
  equal(names(locations), names(places), `the places of ${facts.id}`)
  for (const place of places) {
    const now = locations.find(({ backend, key }) => backend === place.backend && key === place.key)
    const to = now?.state as LocationState
    const what = `${place.backend}/${place.key}: ${place.state} became ${to} (${now?.error?.message})`
    demand(isPossible(place.state, to, model), what)
    demand(
      to === place.state || place.state !== 'pending' || !frozen.has(place.backend),
      `${what} while its backend is paused`,
    )
    demand(now?.synced === (to === 'synced'), `${what}, synced: ${now?.synced}`)
    demand((now?.error === undefined) === ['pending', 'synced'].includes(to), `${what}, without its error`)
    place.state = to
  }
}

/** What may become of a copy in any time. */
function isPossible(from: LocationState, to: LocationState, model: Model): boolean {
  if (from === to) return true
  if (from === 'pending' && to === 'synced') return true
  if (from === 'pending' && to === 'failed') return model.mayFail
  if (from === 'pending' && to === 'conflict') return model.mayConflict
  // Parked since its process died three times, it is tried again by itself.
  if (from === 'failed' && (to === 'pending' || to === 'synced')) return model.crashes >= 3
  if (to === 'corrupt') return model.mayBeMisread && (from === 'pending' || from === 'synced')
  // By verify(), or by a read that found no other copy.
  return from === 'corrupt' && to === 'synced'
}

async function compareStaging({ world, model, blobs }: Run): Promise<void> {
  const { staging } = world.services
  const staged = new Set<BlobId>()
  let bytes = 0
  for (const [id, { length }] of blobs) {
    const places = model.placesOf(id)
    const isOwed = places.some(({ state }) => OWING.includes(state))
    if (!(await staging.ledger.look((view) => staging.has(view, id)))) {
      const isDamaged = places.some(({ state }) => DAMAGED.includes(state))
      demand(isDamaged || model.isCovered(places), `${id} is owed, and neither staged nor on a backend for as long`)
      continue
    }
    demand(isOwed, `${id} is staged, and not owed`)
    staged.add(id)
    bytes += length
  }
  const { bytes: used, count } = staging.usage()
  equal({ used, count }, { used: bytes, count: staged.size }, 'what is staged')
  model.staged = staged
}

async function compareJobs(run: Run): Promise<void> {
  const { world, model } = run
  const jobs = await collectPages(world.services.queue.jobs({}))
  const counts = await world.services.queue.counts()
  for (const name of world.setup.names)
    equal(counts[name] ?? countsOf([]), countsOf(jobs.filter(({ backend }) => backend === name)), `counts of ${name}`)
  for (const place of model.places())
    demand(hasItsJob(place, jobs, model), `${place.backend}/${place.key} has lost its job`)
  run.frozen = new Set([...model.paused].filter((name) => (counts[name]?.running ?? 0) === 0))
  // A job that runs may have begun to read while reads went wrong.
  const isReading = Object.values(counts).some(({ running }) => running > 0)
  if (!world.rates.wrongBytes && !isReading) model.mayBeMisread = false
}

function countsOf(jobs: readonly Job[]): JobCounts {
  const of = (wanted: Job['state']) => jobs.filter(({ state }) => state === wanted)
  const [oldest] = [...of('waiting'), ...of('running')].sort((a, b) => a.seq - b.seq)
  const bytes = jobs.reduce((sum, { size }) => sum + size, 0)
  const [waiting, running, parked] = [of('waiting').length, of('running').length, of('parked').length]
  return { waiting, running, parked, bytes, ...(oldest && { oldest: oldest.created }) }
}

function hasItsJob({ backend, key, id, state }: ModelPlace, jobs: readonly Job[], model: Model): boolean {
  if (!OWING.includes(state)) return true
  const own = jobs.filter((job) => job.backend === backend && job.key === key && job.id === id && job.op === 'put')
  // A copy counts as failed until a job that was parked for the deaths of its process begins once more.
  const mayBeginAgain = state === 'failed' && model.crashes >= 3
  return own.some((job) => (job.state === 'parked' ? state !== 'pending' : state === 'pending' || mayBeginAgain))
}

/** Ends all faults; then everything settles, and once what failed is tried again, everything is where it shall be. */
export async function converge(run: Run): Promise<void> {
  const { world, model } = run
  world.outage = null
  world.rates = {}
  for (const name of world.setup.names) await world.store.resume(name)
  model.paused.clear()
  run.frozen = new Set()
  await drain(world)
  await compare(run)
  // Copies that were read wrongly are found whole again: from these the rest is brought.
  for (const result of await world.clock.until(collect(world.store.verify())))
    demand(result.checked && result.state === 'synced', `verify() finds ${JSON.stringify(result)}`)
  await compare(run)
  await world.store.retry()
  model.retry()
  await drain(world)
  await compare(run)
  equal(new Set(model.places().map(({ state }) => state)), new Set(model.places().map(() => 'synced')), 'states')
  equal(world.services.staging.usage().bytes, 0, 'bytes staged at the end')
  equal(await collectPages(world.services.queue.jobs({})), [], 'jobs at the end')
  for (const name of world.setup.names) compareObjects(run, name)
  await compareEvents(run)
}

const PATIENCE_MS = 12 * 60 * 60 * 1000
const STEP_MS = 10 * 60 * 1000

/** Lets time pass until no job waits or runs. */
async function drain(world: World): Promise<void> {
  for (let passed = 0; passed < PATIENCE_MS; passed += STEP_MS) {
    await world.still()
    const counts = Object.values(await world.services.queue.counts())
    if (counts.every(({ waiting, running }) => waiting + running === 0)) return
    await world.clock.pass(STEP_MS)
  }
  throw new Error(
    `jobs are not done after half a day: ${JSON.stringify(await collectPages(world.services.queue.jobs({})))}`,
  )
}

function compareObjects({ world, model, blobs }: Run, name: Name): void {
  const textOf = (bytes: Uint8Array | undefined) => bytes && Buffer.from(bytes).toString('latin1')
  const objects = new Map([...world.places[name].blobs].map(([key, { bytes }]) => [key, textOf(bytes)]))
  for (const { backend, key, id } of model.places()) {
    if (backend !== name) continue
    equal(objects.get(key), textOf(blobs.get(id)), `the object ${key} on ${name}`)
    objects.delete(key)
  }
  // What a delete reads wrongly each time is somebody else's, and stays.
  if (!model.mayConflict) equal([...objects.keys()], [], `objects on ${name} that nothing names`)
}

/** The log tells every put and delete that was acknowledged, in their order. */
async function compareEvents({ world, model }: Run): Promise<void> {
  const told = []
  for await (const event of world.store.events({ signal: NEVER })) {
    if (event.type === 'put')
      told.push({ type: event.type, checksum: event.checksum, key: event.key, isNew: event.isNew })
    if (event.type === 'delete') told.push({ type: event.type, checksum: event.checksum, keys: [...event.keys].sort() })
  }
  const expected = model.events.map((event) => ('keys' in event ? { ...event, keys: [...event.keys].sort() } : event))
  equal(told, expected, 'the log')
}
