import type { StoreD } from '@stored/core'
import type { TreeLedger } from '@stored/ledger'
import { dumpOf, filesIn } from '@stored/testing/rows/dump'
import { checkLog, untoldEnds } from '@stored/testing/rows/replay'
import { checkRows } from '@stored/testing/rows/row-check'
import { type Dump, keyOf, type StoreRows } from '@stored/testing/rows/rows'
import { idOf } from '../temp.ts'
import { type Call, callOf, type Kind, make, NAMES, type Name, WEIGHTS } from './calls.ts'
import { History } from './history.ts'
import { Random } from './random.ts'
import { checkStep } from './steps.ts'
import { FIRST_OPENING, type Opening, StormWorld, type WorldOptions } from './storm-world.ts'

export interface StormOptions extends Omit<WorldOptions, 'ledger'> {
  readonly ledger: TreeLedger
  /** At the same moment, one call after the other each. */
  readonly callers: number
  readonly callsEach: number
  /** How often the store is opened, each time with other layouts and the other prefix. */
  readonly openings: number
  /** How many commits are made between two comparisons of all rows. */
  readonly checkEvery: number
  /** In bytes. */
  readonly sizes: readonly number[]
  /** How many of the sizes are used. @default all */
  readonly blobs?: number
  readonly weights?: Partial<Record<Kind, number>>
  /** Lets time pass until `work` is settled. */
  readonly until: <T>(work: Promise<T>) => Promise<T>
}

export interface Stormed {
  readonly calls: number
  readonly commits: number
  readonly checks: number
  readonly undecided: number
}

const PREFIXES = ['blobs', 'data'] as const
/** How long a storm may stand still. */
const NURSE_MS = 300
/** Several times as many as any storm makes. */
const MOST_COMMITS = 3000
/** Rounds in which what failed is tried again once nothing fails any more. */
const ROUNDS = 8

/**
 * Makes many calls on few keys and few blobs at the same moment. After each commit every row is compared with every other; at the end also
 * the log with the rows, the answers with each other, and what lies on the backends with all of it.
 *
 * @throws {Error} What is wrong.
 */
export async function storm(o: StormOptions): Promise<Stormed> {
  const random = new Random(o.seed)
  const blobs = o.sizes.slice(0, o.blobs).map((size, i) => Buffer.alloc(size, `${o.seed}/${i} `))
  const weights = { ...WEIGHTS, ...o.weights }
  const keys = keysOf(o, blobs)
  const choice = { keys, blobs: blobs.length, weights }
  const planned = () =>
    Array.from({ length: o.callers }, () => Array.from({ length: o.callsEach }, () => callOf(random, choice)))
  const watch = new Watch(o.ledger, o.checkEvery, random)
  const world = new StormWorld({ ...o, ledger: watch.ledger })
  const history = new History()
  const wrong: string[] = []
  const call = async (calls: readonly Call[], i: number) => {
    const store = world.stores[i % world.stores.length] as StoreD<Name>
    const hasFormerLayouts = o.openings > 1
    const caller = { store, keys, blobs, history, hasFormerLayouts, add: () => world.add(store) }
    for (const one of calls) {
      if (one.afterMs > 0) await pause(one.afterMs)
      const error = await make(caller, one)
      if (error) wrong.push(`${one.kind} ${one.key} in store ${i % world.stores.length}: ${error.message}`)
    }
  }
  try {
    for (let i = 0; i < o.openings; i++) {
      await o.until(world.close())
      // It looks at the disk, for which no clock waits.
      watch.isOn = false
      await world.open(i === 0 ? FIRST_OPENING : { layouts: anyLayouts(random), prefix: PREFIXES[i % 2] as string })
      watch.isOn = true
      await o.until(nursed(world, Promise.all(planned().map(call))))
    }
    await o.until(calm(world))
    const rows = watch.check()
    wrong.push(...watch.violations, ...checkLog(rows), ...untoldEnds(rows), ...history.check())
    wrong.push(...(await o.until(compare(world, rows, { keys, blobs }))))
  } finally {
    await o.until(world.close())
    await o.ledger.close()
  }
  // What was let go is gone by now.
  wrong.push(...checkRows(watch.dump, await filesIn(world.staged, true)).violations)
  if (wrong.length > 0) throw new Error(`seed ${o.seed}: ${wrong.length} wrong\n${wrong.slice(0, 8).join('\n')}`)
  return {
    calls: o.openings * o.callers * o.callsEach,
    commits: watch.commits,
    checks: watch.checks,
    undecided: history.undecided,
  }
}

/** With layouts that change, two keys are those that a blob has by its id, below one prefix and the other. */
function keysOf({ openings }: StormOptions, blobs: readonly Buffer[]): readonly string[] {
  if (openings === 1) return ['x', 'y', 'z']
  return ['x', ...PREFIXES.map((prefix) => idKey(prefix, idOf(blobs[0] as Buffer)))]
}

function idKey(prefix: string, id: string): string {
  const hash = id.slice('sha256:'.length)
  return `${prefix}/sha256/${hash.slice(0, 2)}/${hash.slice(2, 4)}/${hash}`
}

function anyLayouts(random: Random): Opening['layouts'] {
  const layout = () => random.pick(['key', 'id'] as const)
  return { a: layout(), b: layout(), c: layout() }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** The ledger of a storm: others come in before each commit and behind it, and after it the rows are compared. */
class Watch {
  readonly ledger: TreeLedger
  readonly violations: string[] = []
  commits = 0
  checks = 0
  /** Whether others come in. */
  isOn = false
  /** The last that was compared. */
  dump!: Dump
  #rows: StoreRows | undefined
  readonly #ledger: TreeLedger
  readonly #random: Random
  readonly #every: number

  constructor(ledger: TreeLedger, every: number, random: Random) {
    this.#ledger = ledger
    this.#every = every
    this.#random = new Random(random.below(2 ** 31))
    this.ledger = new Proxy(ledger, {
      get: (_, name) => {
        if (name === 'transact') return this.#transact
        // A store that closes closes its ledger; the other one still has it open.
        if (name === 'close') return async () => {}
        const value: unknown = Reflect.get(ledger, name)
        return typeof value === 'function' ? value.bind(ledger) : value
      },
    })
  }

  readonly #transact: TreeLedger['transact'] = async (plan) => {
    await this.#letIn()
    const committing = this.#ledger.transact(plan)
    // In memory it is done by now, and nothing else.
    if (this.#every === 1) this.#count()
    const result = await committing
    if (this.#every > 1) this.#count()
    // What never comes to an end gets no answer any more: then nothing is left that could happen.
    if (this.commits > MOST_COMMITS) await new Promise(() => {})
    await this.#letIn()
    return result
  }

  #count(): void {
    this.commits++
    if (this.commits % this.#every !== 0 || this.violations.length > 0) return
    const before = this.#rows
    const after = this.check()
    if (this.#every === 1 && before) this.#note(checkStep(before, after).map((what) => what.replaceAll('\0', ' ')))
  }

  /** Notes the first that is wrong: what follows from it tells nothing more. */
  check(): StoreRows {
    this.dump = dumpOf(this.#ledger)
    const { rows, violations } = checkRows(this.dump)
    this.checks++
    this.#rows = rows
    this.#note(violations)
    return rows
  }

  #note(violations: readonly string[]): void {
    if (this.violations.length === 0)
      this.violations.push(...violations.map((what) => `after ${this.commits} commits: ${what}`))
  }

  async #letIn(): Promise<void> {
    const turns = this.isOn ? this.#random.below(4) : 0
    if (turns > 0) await pause(turns - 1)
  }
}

/** Goes on with what waits for something that no caller is left to do: with all of them waiting for room, none ends a pause. */
async function nursed(world: StormWorld, calls: Promise<unknown>): Promise<void> {
  let isOver = false
  const over = calls.finally(() => {
    isOver = true
  })
  for (;;) {
    await Promise.race([over, pause(NURSE_MS)])
    if (isOver) return void (await over)
    const [store] = world.stores as [StoreD<Name>]
    await world.add(store)
    // It may be removed at that moment.
    await Promise.allSettled(NAMES.map((name) => store.resume(name)))
    await store.retry()
  }
}

/** Has nothing fail any more, until every copy is where it shall be. */
async function calm(world: StormWorld): Promise<void> {
  const [store] = world.stores as [StoreD<Name>]
  world.heal()
  for (const one of world.stores) await world.add(one)
  for (let round = 0; round < ROUNDS; round++) {
    for (const { name } of await store.listBackends()) await store.resume(name as Name)
    await store.retry()
    await Promise.allSettled([store.synced()])
    for (const id of new Set((await Array.fromAsync(store.list({ missing: true }))).map((entry) => entry.id)))
      await store.repair(id)
    await Promise.allSettled([store.synced()])
    const { backends } = await store.status()
    if (backends.every(({ jobs, bad }) => jobs.waiting + jobs.running + jobs.parked === 0 && isNone(bad))) return
  }
}

function isNone(bad: Readonly<Record<string, number>>): boolean {
  return Object.values(bad).every((count) => count === 0)
}

/** What is wrong with what is read, and with what lies on the backends, by the rows. */
async function compare(
  world: StormWorld,
  rows: StoreRows,
  { keys, blobs }: { readonly keys: readonly string[]; readonly blobs: readonly Buffer[] },
): Promise<string[]> {
  const wrong: string[] = []
  const bytesOf = new Map<string, Buffer>(blobs.map((bytes) => [idOf(bytes), bytes]))
  for (const [i, store] of world.stores.entries()) {
    const listed = await Array.fromAsync(store.list({ missing: true }))
    for (const key of keys) {
      const found = listed.find((entry) => entry.key === key)
      if (found?.id !== rows.bindings.get(key)?.id) wrong.push(`store ${i} lists ${key} as ${found?.id}`)
      if (!found) continue
      const bytes = await store.get(key).catch((error: Error) => error)
      if (bytes instanceof Error) wrong.push(`store ${i} cannot read ${key}: ${bytes.message}`)
      else if (idOf(bytes) !== found.id) wrong.push(`store ${i} reads other bytes for ${key}`)
    }
  }
  for (const [name, { blobs: objects }] of Object.entries(world.places)) {
    const expected = new Map(
      [...rows.locations]
        .filter(([place, { state }]) => place.startsWith(`${name}\0`) && state !== 'deleting')
        .map(([place, location]) => [keyOf(place), location]),
    )
    for (const [key, { id, state }] of expected) {
      if (state !== 'synced') wrong.push(`${name}/${key} is ${state} in the end`)
      const there = objects.get(key)
      if (!there || !bytesOf.get(id)?.equals(there.bytes)) wrong.push(`${name}/${key} does not hold ${id}`)
    }
    // Of `c` copies are forgotten, whose objects stay.
    for (const key of name === 'c' ? [] : objects.keys())
      if (!expected.has(key)) wrong.push(`${name}/${key} is nobody’s`)
  }
  const { staging } = await (world.stores[0] as StoreD<Name>).status()
  if (staging.bytes + staging.count > 0)
    wrong.push(`${staging.bytes} bytes of ${staging.count} blobs are staged in the end`)
  return wrong
}
