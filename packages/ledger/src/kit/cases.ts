import { deepEqual, equal, rejects } from 'node:assert/strict'
import type { DurableEvent, Transaction, View } from '@stored/core'
import { readerOf, type TreeLedger, writerOf } from '../ledger.ts'
import { decodeNumbers } from '../numbers.ts'
import type { LedgerCase } from './run-case.ts'

const TREE = 'keys'
const COUNTS = 'counts'
const COUNTER = Buffer.from('counter')
const bytes = (text: string) => Buffer.from(text)

const put = (tx: Transaction, key: string, value: string) => writerOf(tx).put(TREE, bytes(key), bytes(value))
const remove = (tx: Transaction, key: string) => writerOf(tx).remove(TREE, bytes(key))
const get = (view: View, key: string) => readerOf(view).get(TREE, bytes(key), String)
const rows = (view: View, { from = '', to = '\xff', limit = 500 } = {}) =>
  readerOf(view)
    .range(TREE, { from: bytes(from), to: bytes(to), limit })
    .map(([key, value]) => `${key}=${value}`)
const counter = (view: View) => readerOf(view).get(COUNTS, COUNTER, decodeNumbers)
const all = (ledger: TreeLedger) => ledger.look((view) => rows(view))

function eventOf(key: string): DurableEvent {
  return { type: 'put', checksum: `sha256:${'0'.repeat(64)}`, key, size: 1, isNew: true, time: 0 }
}

async function recorded(ledger: TreeLedger, since: string | number = 0): Promise<{ key: string; position: string }[]> {
  const events = await Array.fromAsync(ledger.events({ since, signal: new AbortController().signal }))
  return events.map((event) => ({ key: 'key' in event ? event.key : '', position: event.position }))
}

/** A row of a partition, for as long as it has any; its last one takes a row of another partition along, as a blob's last key does. */
function unlink(tx: Transaction, key: string): void {
  remove(tx, `of/${key}`)
  if (rows(tx, { from: 'of/', to: 'of0', limit: 1 }).length === 0) remove(tx, 'blob')
}

/** Numbers that are the same in each run of a case (Park and Miller's generator). */
function chances(): (below: number) => number {
  let last = 1
  return (below) => {
    last = (last * 48_271) % 0x7fffffff
    return last % below
  }
}

/** What every ledger promises. */
export const CASES: readonly LedgerCase[] = [
  {
    id: 'plan.value',
    title: 'transact() resolves with what its plan returned, after which look() sees what it wrote',
    why: 'A caller that was answered reads its own write next.',
    async run(ledger) {
      for (let i = 0; i < 5; i++) {
        const { value } = await ledger.transact((tx) => {
          put(tx, 'k', String(i))
          return i
        })
        equal(value, i)
        equal(await ledger.look((view) => get(view, 'k')), String(i))
      }
    },
  },
  {
    id: 'plan.link-and-unlink',
    title: 'a link and a deletion in one plan leave what the same leave in plans of their own',
    why: 'A deletion that does not see the link takes the blob of a key that was linked a moment ago.',
    async run(ledger) {
      await ledger.transact((tx) => {
        put(tx, 'blob', 'bytes')
        put(tx, 'of/a', '')
      })
      await ledger.transact((tx) => {
        put(tx, 'of/b', '')
        unlink(tx, 'a')
      })
      deepEqual(await all(ledger), ['blob=bytes', 'of/b='])
      await ledger.transact((tx) => {
        put(tx, 'of/c', '')
        unlink(tx, 'b')
        unlink(tx, 'c')
      })
      deepEqual(await all(ledger), [])
    },
  },
  {
    id: 'plan.500-in-one',
    title: '500 steps over one partition in one plan leave what they leave in 500 plans',
    why: 'Batches, imports and adoption do in one plan what single calls do in many.',
    async run(ledger) {
      const step = (tx: Transaction, kind: string, i: number) =>
        put(tx, `${kind}/${String(i).padStart(3, '0')}`, String(rows(tx, { from: `${kind}/`, to: `${kind}0` }).length))
      const many = Array.from({ length: 500 }, (_, i) => i)
      await ledger.transact((tx) => {
        for (const i of many) step(tx, 'one', i)
      })
      await Promise.all(many.map((i) => ledger.transact((tx) => step(tx, 'sep', i))))
      const of = async (kind: string) =>
        (await ledger.look((view) => rows(view, { from: `${kind}/`, to: `${kind}0` }))).map((row) => row.slice(4))
      const one = await of('one')
      equal(one.at(-1), '499=499')
      deepEqual(
        [...(await of('sep'))].map((row) => row.split('=')[1]).sort(),
        one.map((row) => row.split('=')[1]).sort(),
      )
    },
  },
  {
    id: 'reads.own-write',
    title: 'a plan reads what it wrote and misses what it removed',
    why: 'A second step of one plan would be decided by rows that the first has changed already.',
    async run(ledger) {
      await ledger.transact((tx) => {
        put(tx, 'a', 'base')
        put(tx, 'b', 'base')
      })
      const { value } = await ledger.transact((tx) => {
        put(tx, 'a', 'own')
        remove(tx, 'b')
        put(tx, 'c', 'own')
        return ['a', 'b', 'c'].map((key) => get(tx, key) ?? null)
      })
      deepEqual(value, ['own', null, 'own'])
    },
  },
  {
    id: 'reads.own-range',
    title: 'a range meets own rows in order, none that was removed, and as many as its limit',
    why: 'A page that ends before its limit reads as the end: what lies behind it is never met.',
    async run(ledger) {
      await ledger.transact((tx) => {
        for (const key of ['b', 'd', 'f', 'h']) put(tx, key, 'base')
      })
      const { value } = await ledger.transact((tx) => {
        for (const key of ['a', 'd', 'g']) put(tx, key, 'own')
        remove(tx, 'b')
        return [rows(tx), rows(tx, { limit: 3 }), rows(tx, { from: 'c', to: 'g' })]
      })
      deepEqual(value, [
        ['a=own', 'd=own', 'f=base', 'g=own', 'h=base'],
        ['a=own', 'd=own', 'f=base'],
        ['d=own', 'f=base'],
      ])
    },
  },
  {
    id: 'reads.model',
    title: 'a plan that writes and reads in any order reads what a map holds',
    why: 'Overlapping pages, removed rows and rewritten ones meet in combinations that nobody lists.',
    async run(ledger) {
      const below = chances()
      const model = new Map<string, string>()
      for (let plan = 0; plan < 40; plan++) {
        const steps = Array.from({ length: 20 }, () => [below(4), below(20), below(20), 1 + below(25)] as const)
        const name = (n: number) => String.fromCharCode(97 + n)
        const { value } = await ledger.transact((tx) =>
          steps.map(([op, a, b, limit]) => {
            if (op === 0) return void remove(tx, name(a))
            if (op === 1) return void put(tx, name(a), String(b))
            return rows(tx, { from: name(Math.min(a, b)), to: name(Math.max(a, b)), limit })
          }),
        )
        const expected = steps.map(([op, a, b, limit]) => {
          if (op === 0) return void model.delete(name(a))
          if (op === 1) return void model.set(name(a), String(b))
          const [from, to] = [name(Math.min(a, b)), name(Math.max(a, b))]
          const found = [...model].filter(([key]) => key >= from && key < to).sort()
          return found.slice(0, limit).map((row) => row.join('='))
        })
        deepEqual(value, expected)
      }
    },
  },
  {
    id: 'plan.throws',
    title: 'a plan that throws is rejected alone with its error, and leaves nothing',
    why: 'A refused put must neither write half a record nor fail the puts of other callers.',
    async run(ledger) {
      const error = new Error('refused')
      const refused = ledger.transact((tx) => {
        put(tx, 'b', '1')
        writerOf(tx).add(COUNTS, COUNTER, [1])
        writerOf(tx).record(eventOf('b'))
        throw error
      })
      const others = ['a', 'c'].map((key) => ledger.transact((tx) => put(tx, key, '1')))
      await rejects(refused, (found) => found === error)
      await Promise.all(others)
      deepEqual(await all(ledger), ['a=1', 'c=1'])
      equal(await ledger.look(counter), undefined)
      deepEqual(await recorded(ledger), [])
    },
  },
  {
    id: 'plan.throws-on-guess',
    title: 'a plan that throws where a row is missing that was written before is not rejected',
    why: 'A ledger that guesses rows would report errors about a state that never was.',
    async run(ledger) {
      await ledger.transact((tx) => put(tx, 'here', '1'))
      const { value } = await ledger.transact((tx) => {
        const found = get(tx, 'here')
        if (found === undefined) throw new Error('it is there')
        return found
      })
      equal(value, '1')
    },
  },
  {
    id: 'plan.thenable',
    title: 'a plan that returns a promise is INVALID_ARGUMENT and writes nothing',
    why: 'What runs after an await would write into a transaction that is over.',
    async run(ledger) {
      const failing = ledger.transact(async (tx) => put(tx, 'k', '1'))
      await rejects(failing, { code: 'INVALID_ARGUMENT' })
      deepEqual(await all(ledger), [])
    },
  },
  {
    id: 'plan.no-function',
    title: 'a plan, and a look, that is no function is INVALID_ARGUMENT',
    why: 'A mistake of a caller in plain JavaScript would fail the commit of others, or end the process.',
    async run(ledger) {
      for (const none of [null, undefined, 7, {}]) {
        await rejects(ledger.transact(none as never), { code: 'INVALID_ARGUMENT' })
        await rejects(ledger.look(none as never), { code: 'INVALID_ARGUMENT' })
      }
      await ledger.transact((tx) => put(tx, 'k', '1'))
      deepEqual(await all(ledger), ['k=1'])
    },
  },
  {
    id: 'plan.impure',
    title: 'a plan that uses clock, randomness or what an earlier run left is rejected',
    why: 'Such a plan works until a ledger runs it twice, and then writes something else.',
    rehearsed: true,
    async run(ledger) {
      let count = 0
      const plans = [() => Date.now(), () => Math.random(), (tx: Transaction) => put(tx, 'k', String(count++))]
      for (const plan of plans)
        await rejects(
          ledger.transact((tx) => void plan(tx)),
          { code: 'INTERNAL' },
        )
      deepEqual(await all(ledger), [])
    },
  },
  {
    id: 'guard.row',
    title: '40 increments of one row at once lose none',
    why: 'A ledger that does not check the rows that a plan read loses updates.',
    async run(ledger) {
      const increment = () => ledger.transact((tx) => put(tx, 'n', String(Number(get(tx, 'n') ?? 0) + 1)))
      await Promise.all(Array.from({ length: 40 }, increment))
      deepEqual(await all(ledger), ['n=40'])
    },
  },
  {
    id: 'guard.range',
    title: 'of 20 plans at once that take the first place of an empty range one takes it',
    why: 'A range without a guard lets two put a row where each saw none: a blob is released while a copy is still owed.',
    async run(ledger) {
      const take = (i: number) =>
        ledger.transact((tx) => {
          const isFirst = rows(tx, { from: 'p/', to: 'p0', limit: 1 }).length === 0
          if (isFirst) put(tx, `p/${i}`, '')
          return isFirst
        })
      const taken = await Promise.all(Array.from({ length: 20 }, (_, i) => take(i)))
      equal(taken.filter(({ value }) => value).length, 1)
      equal((await all(ledger)).length, 1)
    },
  },
  {
    id: 'add.sums',
    title: 'add() counts each plan once, any number of times in one plan, and never what was refused',
    why: 'Usage and counts of jobs drift for good.',
    async run(ledger) {
      const add = (i: number) =>
        ledger.transact((tx) => {
          writerOf(tx).add(COUNTS, COUNTER, [1, i])
          writerOf(tx).add(COUNTS, COUNTER, [1])
        })
      await Promise.all([1, 2, 3, 4].map(add))
      deepEqual(await ledger.look(counter), [8, 10])
    },
  },
  {
    id: 'add.unseen',
    title: 'a plan does not read what it added',
    why: 'A plan that could read it would have to be checked against all others that add: statistics would conflict.',
    async run(ledger) {
      const addAndRead = () =>
        ledger.transact((tx) => {
          writerOf(tx).add(COUNTS, COUNTER, [1])
          return counter(tx)
        })
      equal((await addAndRead()).value, undefined)
      deepEqual((await addAndRead()).value, [1])
    },
  },
  {
    id: 'hint.read-again',
    title: 'a plan that reads again what hint() named takes each row once',
    why: 'Hints may be stale: two workers would claim one job.',
    async run(ledger) {
      await ledger.transact((tx) => {
        for (let i = 0; i < 10; i++) put(tx, `job/${i}`, 'waiting')
      })
      const claim = () =>
        ledger.transact((tx) => {
          const named = writerOf(tx).hint(TREE, { from: bytes('job/'), to: bytes('job0') })
          const key = named.map(([one]) => String(one)).find((one) => get(tx, one) === 'waiting')
          if (key !== undefined) put(tx, key, 'running')
          return key
        })
      const claimed = await Promise.all(Array.from({ length: 10 }, claim))
      const keys = claimed.flatMap(({ value }) => value ?? [])
      equal(new Set(keys).size, keys.length)
    },
  },
  {
    id: 'events.order',
    title: 'events come in the order in which they were recorded, plan by plan, each once',
    why: 'A follower that replays the log ends with other bindings than the store.',
    async run(ledger) {
      const record = (key: string) =>
        ledger.transact((tx) => {
          writerOf(tx).record(eventOf(`${key}.1`))
          writerOf(tx).record(eventOf(`${key}.2`))
        })
      const commits = await Promise.all(['a', 'b', 'c', 'd'].map(record))
      const events = await recorded(ledger)
      deepEqual(
        events.map(({ key }) => key),
        ['a', 'b', 'c', 'd'].flatMap((key) => [`${key}.1`, `${key}.2`]),
      )
      deepEqual(
        commits.map(({ position }) => position),
        events.filter((_, i) => i % 2 === 1).map(({ position }) => position),
      )
      equal(new Set(events.map(({ position }) => position)).size, 8)
      deepEqual(
        (await recorded(ledger, commits[1]?.position)).map(({ key }) => key),
        ['c.1', 'c.2', 'd.1', 'd.2'],
      )
    },
  },
  {
    id: 'afterwards.once',
    title: 'what was asked for afterwards runs once, when its rows can be read, and never for a refused plan',
    why: 'A file would be unlinked while a row names it, or a listener told twice.',
    async run(ledger) {
      const seen: Promise<string | undefined>[] = []
      await ledger.transact((tx) => {
        put(tx, 'k', '1')
        tx.afterwards(() => seen.push(ledger.look((view) => get(view, 'k'))))
      })
      const refused = ledger.transact((tx) => {
        tx.afterwards(() => seen.push(Promise.resolve('refused')))
        throw new Error('no')
      })
      await rejects(refused)
      deepEqual(await Promise.all(seen), ['1'])
    },
  },
  {
    id: 'ticket.unique',
    title: 'each plan has a ticket of its own, the same in every run',
    why: 'Leases and rows of bytes are named by tickets.',
    async run(ledger) {
      const given = await Promise.all(
        Array.from({ length: 30 }, (_, i) =>
          ledger.transact((tx) => {
            put(tx, `k${i}`, String(tx.ticket))
            return tx.ticket
          }),
        ),
      )
      equal(new Set(given.map(({ value }) => value)).size, 30)
      const written = (await all(ledger)).map((row) => row.split('=')[1])
      deepEqual(written.sort(), given.map(({ value }) => String(value)).sort())
    },
  },
  {
    id: 'value.large',
    title: 'a value of 1 MiB comes back whole, an empty one empty',
    why: 'Small blobs lie in the ledger; a value cut off is a damaged blob.',
    async run(ledger) {
      const large = Buffer.alloc(1024 * 1024, 'x')
      await ledger.transact((tx) => {
        writerOf(tx).put(TREE, bytes('large'), large)
        put(tx, 'none', '')
      })
      const found = await ledger.look((view) => readerOf(view).get(TREE, bytes('large'), (value) => Buffer.from(value)))
      equal(found?.equals(large), true)
      equal(await ledger.look((view) => get(view, 'none')), '')
    },
  },
  {
    id: 'key.too-long',
    title: 'a key of 1,979 bytes is INVALID_KEY, and fails its plan alone',
    why: 'Met only as the group is written, it would take the other plans with it.',
    async run(ledger) {
      const outcomes = await Promise.allSettled([
        ledger.transact((tx) => put(tx, 'a', '1')),
        ledger.transact((tx) => put(tx, 'k'.repeat(1979), '1')),
        ledger.transact((tx) => put(tx, 'c', '1')),
      ])
      deepEqual(
        outcomes.map((outcome) => (outcome.status === 'rejected' ? outcome.reason.code : 'done')),
        ['done', 'INVALID_KEY', 'done'],
      )
      deepEqual(await all(ledger), ['a=1', 'c=1'])
    },
  },
  {
    id: 'closed',
    title: 'plans handed in before close() are answered; later ones, and looks, are CLOSED',
    why: 'A call that is never answered holds up the end of its process.',
    async run(ledger) {
      const before = ledger.transact((tx) => put(tx, 'k', '1'))
      await ledger.close()
      await before
      await rejects(
        ledger.transact(() => {}),
        { code: 'CLOSED' },
      )
      for (const read of [(view: View) => get(view, 'k'), () => 'nothing'])
        await rejects(ledger.look<string | undefined>(read), { code: 'CLOSED' })
    },
  },
]
