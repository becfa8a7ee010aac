import { MemoryLedger, type TreeLedger } from '@stored/ledger'
import { LmdbLedger } from '@stored/lmdb'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { idOf, temp } from '../temp.ts'
import { type HalfSynced, openHalfSynced } from './half-synced.ts'
import type { Making } from './held-plans.ts'

const X = Buffer.from('x')
const Y = Buffer.from('y')
/** How many sequences of calls are tried. */
const RUNS = 100
const START = Date.UTC(2026, 0, 1)

/** A call whose plan is made beside others. */
type Step = (world: HalfSynced) => Promise<unknown>

interface Case {
  readonly what: string
  /** What there is before. */
  readonly given?: (world: HalfSynced) => Promise<void>
  /** Whether jobs run, up to the calls. @default true */
  readonly sync?: false
  readonly steps: readonly Step[]
}

const range = (count: number) => Array.from({ length: count }, (_, i) => i)
const put =
  (bytes: Buffer, key: string, ...backends: ('a' | 'b')[]): Step =>
  ({ store }) =>
    store.put(bytes, { key, ...(backends.length > 0 && { backends }) })
const remove =
  (idOrKey: string, ...backends: ('a' | 'b')[]): Step =>
  ({ store }) =>
    store.delete(idOrKey, { ...(backends.length > 0 && { backends }) })
/** The next job ends its write, and is to be settled. */
const settle =
  (name: 'a' | 'b'): Step =>
  async ({ gates }) =>
    gates[name].letOne()

const claim: Step = ({ queue }) => queue.claim('a', { max: 8, leaseMs: 60_000 })

async function synced(world: HalfSynced, ...steps: readonly Step[]): Promise<void> {
  await together(world, steps)
  await world.store.synced()
}

/** Puts whose writes wait at a backend; the other one has them. */
async function writing(world: HalfSynced, name: 'a' | 'b', count: number, ...steps: readonly Step[]): Promise<void> {
  world.gates[name].shut()
  await together(world, steps)
  await world.gates[name].crowd(count)
  await world.store.synced(undefined, { backends: [name === 'a' ? 'b' : 'a'] })
}

async function together({ plans, ...world }: HalfSynced, steps: readonly Step[]): Promise<void> {
  plans.hold()
  for (const step of steps) await plans.begin(() => step({ plans, ...world }))
  await plans.make('together')
}

const CASES: readonly Case[] = [
  {
    what: 'a link and the deletion of the key that the blob had',
    given: (world) => synced(world, put(X, 'k')),
    steps: [put(X, 'j'), remove('k')],
  },
  {
    what: 'a link and the deletion of both keys',
    given: (world) => synced(world, put(X, 'k')),
    steps: [put(X, 'j'), remove('k'), remove('j')],
  },
  { what: '500 puts of equal bytes', steps: range(500).map((i) => put(X, `k${i}`)) },
  {
    what: '64 settles of one blob',
    given: (world) => writing(world, 'a', 64, ...range(64).map((i) => put(X, `k${i}`))),
    steps: range(64).map(() => settle('a')),
  },
  {
    what: '300 keys of one blob, all deleted',
    given: (world) => synced(world, ...range(300).map((i) => put(X, `k${i}`))),
    steps: range(300).map((i) => remove(`k${i}`)),
  },
  {
    what: '300 keys of one blob, put, bound to another one and deleted by its id',
    steps: [...range(300).map((i) => put(X, `k${i}`)), ...range(150).map((i) => put(Y, `k${i}`)), remove(idOf(X))],
  },
  {
    what: 'a settle and the deletion of its key',
    given: (world) => writing(world, 'a', 1, put(X, 'k')),
    steps: [settle('a'), remove('k')],
  },
  {
    what: 'the deletion of a key and the settle of its job',
    given: (world) => writing(world, 'a', 1, put(X, 'k')),
    steps: [remove('k'), settle('a')],
  },
  {
    what: 'the put of other bytes, and the settle of the job that wrote the former ones',
    given: (world) => writing(world, 'b', 1, put(X, 'k'), put(X, 'j')),
    steps: [put(Y, 'k'), settle('b'), put(Y, 'j')],
  },
  {
    what: 'the settle of the last job that owes bytes, and another put of them',
    given: (world) => writing(world, 'b', 1, put(X, 'k', 'b')),
    steps: [settle('b'), put(X, 'k'), put(X, 'j', 'b')],
  },
  {
    what: 'a key that changes its blob back and forth',
    given: (world) => synced(world, put(X, 'k')),
    steps: [put(Y, 'k'), put(X, 'k'), put(Y, 'k'), put(X, 'j'), put(X, 'k')],
  },
  {
    what: 'copies that are dropped from one backend, then from the other, and put again',
    given: (world) => synced(world, put(X, 'k'), put(X, 'j')),
    steps: [remove('k', 'a'), remove(idOf(X), 'a'), put(X, 'k', 'a'), put(X, 'j', 'a'), remove('k', 'b')],
  },
  {
    what: 'a copy that is forgotten, and its key',
    given: (world) => synced(world, put(X, 'k')),
    steps: [({ store }) => store.forget({ backend: 'a', key: 'k' }), put(X, 'k', 'a'), remove('k')],
  },
  {
    what: 'two claims of the same jobs',
    given: (world) => together(world, [put(X, 'k'), put(X, 'j')]),
    sync: false,
    steps: [claim, claim],
  },
  {
    what: 'claims, and calls that replace and take away what they claim',
    given: (world) => together(world, [put(X, 'k'), put(X, 'j'), put(Y, 'i')]),
    sync: false,
    steps: [put(Y, 'k'), remove('j'), claim, put(X, 'k'), remove('i'), put(Y, 'j'), claim],
  },
]

/** Makes the steps upon what is given. @returns The rows they leave, and which of them were refused. */
async function made(one: Case, how: Making, open: (directory: string) => Promise<TreeLedger>) {
  await using directory = await temp()
  await using world = await openHalfSynced(
    await open(`${directory.path}/ledger`),
    `${directory.path}/staging`,
    one.sync !== false,
  )
  await one.given?.(world)
  if (one.sync !== false) await world.pause()
  const since = world.rows().eventCount
  world.plans.hold()
  for (const step of one.steps) await world.plans.begin(() => step(world))
  const ends = await world.plans.make(how)
  const { events, ...rows } = world.rows()
  return { rows: { ...rows, events: events.slice(since) }, refused: ends.map(({ status }) => status === 'rejected') }
}

const inMemory = async () => new MemoryLedger()
const inDisorder = async () => new MemoryLedger({ scrambleTickets: true })
const inLmdb = (path: string) => LmdbLedger.open({ path, reserve: 0 })

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'], now: START })
})
afterEach(() => {
  vi.useRealTimers()
})

describe('one plan leaves the rows that separate plans leave, in memory, with tickets in no order, and in LMDB, of', () => {
  test.each(CASES)('$what', async (one) => {
    const each = await made(one, 'each', inMemory)
    expect(each.refused).not.toContain(true)
    for (const open of [inMemory, inDisorder, inLmdb])
      expect((await made(one, 'together', open)).rows).toEqual(each.rows)
  })
})

const key = fc.constantFrom('k', 'j', 'i')
const bytes = fc.constantFrom(X, Y)
const some = fc.subarray<'a' | 'b'>(['a', 'b'])
const named = (text: string, step: Step): Step => Object.assign(step, { [fc.toStringMethod]: () => text })
const calls = fc.oneof(
  fc
    .tuple(bytes, key, some)
    .map(([bytes, key, some]) => named(`put ${bytes} ${key} ${some}`, put(bytes, key, ...some))),
  fc.tuple(key, some).map(([key, some]) => named(`delete ${key} ${some}`, remove(key, ...some))),
  bytes.map((bytes) => named(`delete ${bytes}`, remove(idOf(bytes)))),
)
/** Any calls, and the ends of two jobs among them. */
const steps = fc.tuple(fc.array(calls, { maxLength: 8 }), fc.nat(8), fc.nat(8)).map(([some, first, second]) => {
  const end = named('settle', settle('a'))
  return some.toSpliced(first, 0, end).toSpliced(second, 0, end)
})

test('so does one plan of any calls that are not refused, and of jobs that end among them', async () => {
  const given = (world: HalfSynced) => writing(world, 'a', 2, put(X, 'k'), put(Y, 'j'), put(X, 'i', 'b'))
  const leavesTheSame = async (steps: readonly Step[]) => {
    const each = await made({ what: 'any', given, steps }, 'each', inMemory)
    const passing = steps.filter((_, i) => !each.refused[i])
    expect((await made({ what: 'any', given, steps: passing }, 'together', inDisorder)).rows).toEqual(each.rows)
  }
  await fc.assert(fc.asyncProperty(steps, leavesTheSame), { numRuns: RUNS })
})
