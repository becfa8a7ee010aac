import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { BlobFacts, BlobId } from '../model/blob.ts'
import { isObjectOf, type Location, type LocationFacts, type LocationState, owes, type Place } from '../model/copy.ts'
import type { NewJob } from '../model/job.ts'
import type { Rev } from '../model/revision.ts'
import type { Known } from '../ports/index.ts'
import { areCovered } from './delete/coverage.ts'
import { planDelete } from './delete/plan-delete.ts'
import { idKey } from './lookup/names.ts'
import { type PutPlan, planPut } from './put/plan-put.ts'

/** Two backends of layout key, one of layout id, to begin with. */
const BACKENDS = ['x', 'y', 'id']
const PREFIXES = ['blobs', 'data'] as const
const IDS = ['a', 'b', 'c'].map((digit): BlobId => `sha256:${digit.repeat(64)}`)
/** Two of them name objects of layout id: at one prefix or the other. */
const KEYS = ['k', 'l', 'm', ...PREFIXES.map((prefix, i) => idKey(prefix, IDS[i] as BlobId))]
const REV = '1' as Rev

const nameOf = ({ backend, key }: Place) => `${backend}/${key}`
/** Whether a copy lasts as long as this key of its blob. */
const isCopyOf = ({ shared, key }: LocationFacts, bound: string) => shared === true || key === bound
const factsOf = (id: BlobId): BlobFacts => {
  return {
    id,
    checksums: { sha256: id.slice(7) },
    size: 1,
    mimeType: 'text/plain',
    created: 1,
    modified: 1,
    custom: {},
  }
}

/** A store without ledger, bytes or backends: what the plans are applied to. */
class World {
  readonly blobs = new Set<BlobId>()
  readonly bindings = new Map<string, BlobId>()
  readonly locations = new Map<string, LocationFacts>()
  readonly jobs = new Map<string, NewJob>()
  readonly staged = new Set<BlobId>()
  /** Released, and their copy damaged since: nobody can help them. */
  readonly lost = new Set<BlobId>()
  /** Blobs of which a copy was damaged once. */
  readonly damaged = new Set<BlobId>()
  /** Backends that shall have a copy, by the key under which they were asked for. */
  readonly wanted = new Map<string, Set<string>>()
  /** Backends of layout id: all others have layout key. */
  readonly byId = new Set(['id'])
  prefix: (typeof PREFIXES)[number] = 'blobs'

  put(id: BlobId, key: string, backends: readonly string[]): void {
    const formerId = this.bindings.get(key)
    const former = formerId === undefined || formerId === id ? undefined : this.known(formerId)
    const targets = backends.map((backend) => {
      const shared = this.byId.has(backend)
      const place = { backend, key: shared ? idKey(this.prefix, id) : key }
      return { place, shared, location: this.location(place), begun: this.begun(place) }
    })
    const isOthers = ({ location }: (typeof targets)[number]) => {
      if (!location || location.state === 'deleting' || location.id === id) return false
      return location.id !== formerId || (!isObjectOf(location, key) && this.keysOf(location.id).length > 1)
    }
    const planned = () =>
      planPut({
        key,
        facts: factsOf(id),
        explicitMimeType: false,
        bound: formerId === undefined ? null : { key, id: formerId, rev: REV },
        known: this.known(id) ?? null,
        former: former
          ? { known: former, hasOtherKeys: this.keysOf(former.facts.id).length > 1, begun: this.begun }
          : null,
        targets,
        ifAbsent: false,
        ifMatch: undefined,
      })
    if (targets.some(isOthers)) {
      expect(planned).toThrow(expect.objectContaining({ code: 'KEY_CONFLICT' }))
      return
    }
    const plan = planned()
    this.#checkTakenOver(plan.locations, [id, formerId])
    this.blobs.add(id)
    this.bindings.set(key, id)
    this.#apply(plan)
    if (plan.keeps) {
      this.staged.add(id)
      this.lost.delete(id)
    }
    if (former && plan.former?.forget) this.blobs.delete(former.facts.id)
    if (former && plan.former?.release) this.staged.delete(former.facts.id)
    const kept = former || formerId === undefined ? [] : (this.wanted.get(key) ?? [])
    this.wanted.set(key, new Set([...kept, ...backends]))
  }

  remove(id: BlobId, key: string | undefined, backends: readonly string[] | undefined): void {
    const known = this.known(id)
    if (!known) return
    const keys = backends ? [] : key === undefined ? this.keysOf(id) : [key]
    const hasOtherKeys = this.keysOf(id).some((other) => !keys.includes(other))
    const plan = planDelete({
      bound: backends ? this.keysOf(id) : [],
      begun: this.begun,
      isConfigured: () => true,
      isStaged: this.staged.has(id),
      known,
      keys,
      hasOtherKeys,
      backends,
      key,
    })
    const mayGo = this.live().filter((one) => one.id === id && (key === undefined || isCopyOf(one, key)))
    for (const backend of backends ?? [])
      for (const bound of this.keysOf(id)) {
        const its = this.live().filter((one) => one.id === id && one.backend === backend && isCopyOf(one, bound))
        if (its.every((one) => mayGo.includes(one))) this.wanted.get(bound)?.delete(backend)
      }
    for (const unbound of keys) {
      this.bindings.delete(unbound)
      this.wanted.delete(unbound)
    }
    this.#apply(plan)
    if (plan.forget) this.blobs.delete(id)
    if (plan.release) this.staged.delete(id)
  }

  /** Those of one backend never were. */
  readonly begun = ({ backend }: Place) => backend !== 'y'

  /** As a worker settles it. */
  settle(job: NewJob, isDone: boolean): void {
    const location = this.location(job)
    if (!location) throw new Error(`a job without a place: ${nameOf(job)}`)
    this.jobs.delete(nameOf(job))
    if (job.op === 'delete') {
      this.locations.delete(nameOf(job))
      return
    }
    const holds = isDone && { holds: { id: job.id } }
    this.locations.set(nameOf(job), { ...location, ...holds, state: isDone ? 'synced' : 'failed' })
    if (!this.#locationsOf(job.id).some(owes)) this.staged.delete(job.id)
  }

  /** Staging is above its high-water mark. */
  release(id: BlobId): void {
    const { owing, copies } = this.need(id)
    if (copies.length > 0 && areCovered(owing, copies)) this.staged.delete(id)
  }

  damage(location: LocationFacts, state: LocationState): void {
    this.damaged.add(location.id)
    this.locations.set(nameOf(location), { ...location, state })
    const { owing, copies } = this.need(location.id)
    if (!this.staged.has(location.id) && !(copies.length > 0 && areCovered(owing, copies))) this.lost.add(location.id)
  }

  /** Places that owe a blob's bytes, and the copies there are. */
  need(id: BlobId): { owing: LocationFacts[]; copies: LocationFacts[] } {
    const its = this.live().filter((location) => location.id === id)
    return { owing: its.filter(owes), copies: its.filter(({ state }) => state === 'synced') }
  }

  known(id: BlobId): Known | undefined {
    return this.blobs.has(id)
      ? { facts: factsOf(id), locations: this.#locationsOf(id), rev: REV, factsRev: REV }
      : undefined
  }

  location(place: Place): Location | null {
    const location = this.locations.get(nameOf(place))
    return location ? { ...location, rev: REV } : null
  }

  keysOf(id: BlobId): string[] {
    return [...this.bindings].flatMap(([key, bound]) => (bound === id ? [key] : []))
  }

  live(): LocationFacts[] {
    return [...this.locations.values()].filter(({ state }) => state !== 'deleting')
  }

  #locationsOf(id: BlobId): Location[] {
    return [...this.locations.values()].filter((one) => one.id === id).map((one) => ({ ...one, rev: REV }))
  }

  #apply({ locations, jobs, gone }: Pick<PutPlan, 'locations' | 'jobs' | 'gone'>): void {
    for (const place of gone) {
      this.locations.delete(nameOf(place))
      this.jobs.delete(nameOf(place))
    }
    expect(new Set(locations.map(nameOf)).size, 'one row for each place').toBe(locations.length)
    const waits = (location: LocationFacts) => {
      const before = this.location(location)
      // What a key had for itself, and all keys share from now on, stays as it is.
      return location.shared && before?.id === location.id && !before.shared ? before.state !== location.state : true
    }
    expect(jobs.map(nameOf), 'one job for each row').toEqual(locations.filter(waits).map(nameOf))
    for (const location of locations) this.locations.set(nameOf(location), location)
    for (const job of jobs) this.jobs.set(nameOf(job), job)
  }

  /** A place that is in use goes from one blob to another only with its key. */
  #checkTakenOver(locations: readonly LocationFacts[], involved: readonly (BlobId | undefined)[]): void {
    for (const location of locations) {
      const before = this.location(location)
      if (before && before.state !== 'deleting') expect(involved, nameOf(location)).toContain(before.id)
    }
  }
}

function checkInvariants(world: World): void {
  for (const [key, id] of world.bindings) {
    expect(world.blobs, `${key} is bound to a blob that is known`).toContain(id)
    for (const backend of world.wanted.get(key) ?? []) {
      const own = world.live().filter((one) => one.id === id && one.backend === backend && isCopyOf(one, key))
      expect(own, `${key} has its copy on ${backend}`).not.toEqual([])
    }
  }
  for (const [key, id] of world.bindings) {
    if (world.damaged.has(id)) continue
    const own = world.live().filter((one) => one.id === id && (one.shared || one.key === key))
    const isReadable = own.some((one) => one.state === 'synced' || owes(one))
    if (world.wanted.get(key)?.size) expect(isReadable, `${key} has bytes that no other key takes along`).toBe(true)
  }
  for (const id of world.blobs) expect(world.keysOf(id), 'a blob that is known has a key').not.toEqual([])
  for (const location of world.live()) {
    expect(world.blobs, `${nameOf(location)} is a copy of a blob that is known`).toContain(location.id)
    if (!location.shared) expect(world.bindings.get(location.key), nameOf(location)).toBe(location.id)
  }
  for (const id of IDS) {
    const { owing, copies } = world.need(id)
    if (owing.length === 0) expect(world.staged, 'bytes that nothing owes are not staged').not.toContain(id)
    else if (!world.staged.has(id) && !world.lost.has(id)) {
      expect(copies, 'bytes that are owed are staged, or there is a copy').not.toEqual([])
      expect(areCovered(owing, copies), 'each place that owes bytes has a copy that goes no sooner').toBe(true)
    }
  }
  for (const location of world.locations.values()) {
    const job = world.jobs.get(nameOf(location))
    if (location.state === 'pending') expect(job).toMatchObject({ op: 'put', id: location.id })
    else if (location.state === 'deleting') expect(job).toMatchObject({ op: 'delete', id: location.id })
    else expect(job).toBeUndefined()
  }
}

type Step = (world: World) => void
const key = fc.constantFrom(...KEYS)
const id = fc.constantFrom(...IDS)
const backends = fc.subarray(BACKENDS, { minLength: 1 })
const named = (text: string, step: Step): Step => Object.assign(step, { [fc.toStringMethod]: () => text })

const puts = fc
  .tuple(id, key, backends)
  .map(([id, key, backends]) => named(`put ${id[7]} at ${key} to ${backends}`, (world) => world.put(id, key, backends)))
const deletions = key.map((key) =>
  named(`delete ${key}`, (world) => {
    const id = world.bindings.get(key)
    if (id !== undefined) world.remove(id, key, undefined)
  }),
)
const deletionsById = id.map((id) => named(`delete ${id[7]}`, (world) => world.remove(id, undefined, undefined)))
const drops = fc.tuple(id, fc.option(key, { nil: undefined }), backends).map(([id, key, backends]) =>
  named(`drop ${key ?? id[7]} from ${backends}`, (world) => {
    const meant = key === undefined ? id : world.bindings.get(key)
    if (meant !== undefined) drop(world, meant, key, backends)
  }),
)
const settlements = fc.tuple(fc.nat(20), fc.boolean()).map(([i, isDone]) =>
  named(`job ${i} ${isDone ? 'succeeds' : 'is parked'}`, (world) => {
    const job = [...world.jobs.values()][i % (world.jobs.size || 1)]
    if (job) world.settle(job, isDone)
  }),
)
const damages = fc
  .tuple(fc.nat(20), fc.constantFrom<LocationState>('missing', 'corrupt', 'unknown'))
  .map(([i, state]) =>
    named(`copy ${i} is ${state}`, (world) => {
      const synced = world.live().filter((location) => location.state === 'synced')
      const location = synced[i % (synced.length || 1)]
      if (location) world.damage(location, state)
    }),
  )
const outages = fc.constantFrom(...BACKENDS).map((offline) =>
  named(`all jobs succeed but those of ${offline}`, (world) => {
    for (const job of world.jobs.values()) if (job.backend !== offline) world.settle(job, true)
  }),
)
const layouts = fc
  .constantFrom(...BACKENDS)
  .map((backend) =>
    named(`the layout of ${backend} changes`, ({ byId }) => void (byId.delete(backend) || byId.add(backend))),
  )
const prefixes = fc.constantFrom(...PREFIXES).map((prefix) =>
  named(`the prefix becomes ${prefix}`, (world) => {
    world.prefix = prefix
  }),
)
const releases = fc.constant(named('release what can be', (world) => IDS.forEach((id) => void world.release(id))))

/** Drops copies; refused when, and only when, none would be left, or a key would lose its own. */
function drop(world: World, id: BlobId, key: string | undefined, backends: readonly string[]): void {
  const before = world.live().filter((location) => location.id === id)
  const isMeant = ({ backend, key: name, shared }: LocationFacts) =>
    backends.includes(backend) && (key === undefined || shared || name === key)
  const left = before.filter((one) => !isMeant(one))
  const copies = left.filter(({ state }) => state === 'synced')
  const isStaged = world.staged.has(id) && left.some(owes)
  const isLast = !isStaged && (copies.length === 0 || !areCovered(left.filter(owes), copies))
  const isBacked = (bound: string, locations: readonly LocationFacts[]) =>
    locations
      .filter(({ shared, key: name }) => shared || name === bound)
      .some((one) => one.state === 'synced' || (world.staged.has(id) && owes(one)))
  const strips = world.keysOf(id).some((bound) => isBacked(bound, before) && !isBacked(bound, left))
  const remove = () => world.remove(id, key, backends)
  if (before.some(isMeant) && (isLast || strips))
    expect(remove).toThrow(expect.objectContaining({ code: 'PRECONDITION_FAILED' }))
  else expect(remove).not.toThrow()
}

test('whatever is put, deleted, synced and lost, whatever the layouts: each key has its copies, no place has two blobs, no blob is left without a key, what is owed is staged or has a copy', () => {
  const changes = [deletions, deletionsById, drops, damages, layouts, prefixes]
  const steps = fc.array(fc.oneof(puts, puts, puts, settlements, outages, releases, ...changes), { maxLength: 40 })
  fc.assert(
    fc.property(steps, (run) => {
      const world = new World()
      for (const step of run) {
        step(world)
        checkInvariants(world)
      }
    }),
    { numRuns: 1000 },
  )
})
