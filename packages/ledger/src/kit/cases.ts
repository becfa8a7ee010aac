import { deepEqual, equal, ok, rejects, throws } from 'node:assert/strict'
import type { Transaction, View } from '@stored/core'
import { readerOf, writerOf } from '../ledger.ts'
import { encodeNumbers } from '../numbers.ts'
import { FAILURE_CASES } from './failure-cases.ts'
import { PACK_CASES } from './pack-cases.ts'
import {
  all,
  bytes,
  COUNTER,
  COUNTS,
  claim,
  count,
  counter,
  eventOf,
  get,
  increment,
  put,
  record,
  recorded,
  remove,
  rows,
  TREE,
  takeFirst,
} from './rows.ts'
import type { LedgerCase } from './run-case.ts'
import { TWO_HANDLES_CASES } from './two-handles-cases.ts'

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
    id: 'reads.range',
    title: 'a range begins with its first key, ends before its last, holds to its limit, and is of one tree',
    why: 'Pages that overlap are met twice; rows left out between two pages are never met.',
    async run(ledger) {
      await ledger.transact((tx) => {
        for (const key of ['a', 'b', 'c', 'd']) put(tx, key, '')
        writerOf(tx).put('blobs', bytes('b'), bytes('of another tree'))
      })
      const found = await ledger.look((view) => [
        rows(view, { from: 'b', to: 'd' }),
        rows(view, { limit: 3 }),
        rows(view, { from: 'e' }),
      ])
      deepEqual(found, [['b=', 'c='], ['a=', 'b=', 'c='], []])
    },
  },
  {
    id: 'reads.copies',
    title: 'rows that a range returned stay as they were read',
    why: 'A page that is still being handled would change under its reader.',
    async run(ledger) {
      await ledger.transact((tx) => put(tx, 'k', 'before'))
      const [row] = await ledger.look((view) => readerOf(view).range(TREE, { from: bytes('k'), to: bytes('l') }))
      for (const value of ['behind', 'later!']) await ledger.transact((tx) => put(tx, 'k', value))
      equal(String(row?.[1]), 'before')
    },
  },
  {
    id: 'reads.bytes',
    title: 'keys and values are any bytes, in the order of the bytes of their keys',
    why: 'Times and digests are parts of keys: another order, or a key taken for text, loses jobs.',
    async run(ledger) {
      const below = chances()
      const any = (least: number, most: number) =>
        Buffer.from(Array.from({ length: least + below(most) }, () => below(256)))
      const model = new Map<string, string>()
      for (let plan = 0; plan < 30; plan++) {
        const writes = Array.from({ length: 8 }, () => [any(1, 40), below(4) > 0 ? any(0, 300) : null] as const)
        await ledger.transact((tx) => {
          for (const [key, value] of writes)
            value ? writerOf(tx).put('blobs', key, value) : writerOf(tx).remove('blobs', key)
        })
        for (const [key, value] of writes)
          value ? model.set(key.toString('hex'), value.toString('hex')) : model.delete(key.toString('hex'))
      }
      const range = { from: Buffer.alloc(0), to: Buffer.alloc(41, 0xff), limit: 10_000 }
      const found = await ledger.look((view) => readerOf(view).range('blobs', range))
      // Hex digits compare as the bytes they stand for.
      deepEqual(
        found.map((row) => row.map((part) => part.toString('hex'))),
        [...model].sort(),
      )
    },
  },
  {
    id: 'reads.same-turn',
    title: 'a plan reads what those handed in before it wrote, added and removed',
    why: 'Calls of one moment would each decide over a state that the others have changed.',
    async run(ledger) {
      await ledger.transact((tx) => put(tx, 'gone', ''))
      const [, , , { value }] = await Promise.all([
        ledger.transact((tx) => put(tx, 'k', '1')),
        ledger.transact((tx) => remove(tx, 'gone')),
        count(ledger, 5),
        ledger.transact((tx) => [rows(tx), counter(tx)]),
      ])
      deepEqual(value, [['k=1'], [5]])
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
        record(tx, 'b')
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
      // biome-ignore lint/suspicious/noThenProperty: what is refused
      const promises = [async () => {}, () => Promise.reject(new Error('unhandled')), () => ({ then() {} })]
      for (const promise of promises) {
        const failing = ledger.transact((tx) => {
          put(tx, 'k', '1')
          return promise()
        })
        await rejects(failing, { code: 'INVALID_ARGUMENT' })
      }
      await rejects(
        ledger.look(async () => {}),
        { code: 'INVALID_ARGUMENT' },
      )
      deepEqual(await all(ledger), [])
    },
  },
  {
    id: 'plan.over',
    title: 'a transaction takes no write once its plan has returned',
    why: 'What a callback writes later is lost without a word.',
    async run(ledger) {
      const escaped: Transaction[] = []
      await ledger.transact((tx) => void escaped.push(tx))
      for (const tx of escaped) throws(() => put(tx, 'k', '1'), { code: 'INVALID_ARGUMENT' })
      deepEqual(await all(ledger), [])
    },
  },
  {
    id: 'plan.now',
    title: 'a plan is told the time at which it was handed in',
    why: 'Jobs fall due by that time: a plan must not look at a clock.',
    async run(ledger) {
      const before = Date.now()
      const { value } = await ledger.transact(({ now }) => now)
      ok(value >= before && value <= Date.now(), `${value} is not between ${before} and now`)
    },
  },
  {
    id: 'look.throws',
    title: 'a look that throws is rejected with that error',
    why: 'A row that cannot be read would be taken for one that is not there.',
    async run(ledger) {
      const error = new Error('no')
      const failing = ledger.look(() => {
        throw error
      })
      await rejects(failing, (found) => found === error)
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
    needs: 'rehearses',
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
      await Promise.all(Array.from({ length: 40 }, () => ledger.transact((tx) => increment(tx, 'n'))))
      deepEqual(await all(ledger), ['n=40'])
    },
  },
  {
    id: 'guard.range',
    title: 'of 20 plans at once that take the first place of an empty range one takes it',
    why: 'A range without a guard lets two put a row where each saw none: a blob is released while a copy is still owed.',
    async run(ledger) {
      const take = (i: number) => ledger.transact((tx) => takeFirst(tx, 'p', String(i)))
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
    id: 'add.set',
    title: 'a row of numbers that a plan writes or removes holds nothing of what was added before',
    why: 'A count that was made anew would be wrong by what others added in the same moment.',
    async run(ledger) {
      const set = (value: number) => ledger.transact((tx) => writerOf(tx).put(COUNTS, COUNTER, encodeNumbers([value])))
      await Promise.all([count(ledger, 1), set(10), count(ledger, 100)])
      deepEqual(await ledger.look(counter), [110])
      await Promise.all([count(ledger, 1), ledger.transact((tx) => writerOf(tx).remove(COUNTS, COUNTER))])
      equal(await ledger.look(counter), undefined)
    },
  },
  {
    id: 'hint.no-guard',
    title: 'plans that hint at a range that all of them write to do not conflict',
    why: 'Every claim of a backend would be run again for every other: with n workers n² times.',
    async run(ledger) {
      let runs = 0
      const hinting = (i: number) =>
        ledger.transact((tx) => {
          runs++
          writerOf(tx).hint(TREE, { from: bytes('h/'), to: bytes('h0') })
          put(tx, `h/${i}`, '')
        })
      await Promise.all(Array.from({ length: 60 }, (_, i) => hinting(i)))
      ok(runs <= 600, `60 plans ran ${runs} times`)
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
      const claimed = await Promise.all(Array.from({ length: 10 }, () => ledger.transact(claim)))
      const keys = claimed.flatMap(({ value }) => value ?? [])
      equal(new Set(keys).size, keys.length)
    },
  },
  {
    id: 'events.order',
    title: 'events come in the order in which they were recorded, plan by plan, each once',
    why: 'A follower that replays the log ends with other bindings than the store.',
    async run(ledger) {
      const recordTwice = (key: string) =>
        ledger.transact((tx) => {
          record(tx, `${key}.1`)
          record(tx, `${key}.2`)
        })
      const commits = await Promise.all(['a', 'b', 'c', 'd'].map(recordTwice))
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
    id: 'events.since',
    title: 'events() begins behind any position that a commit came to, over any number of pages',
    why: 'A consumer that resumes misses what happened while it was away, or is told it twice.',
    async run(ledger) {
      await ledger.transact((tx) => record(tx, 'first'))
      const none = await ledger.transact((tx) => put(tx, 'k', '1'))
      const many = Array.from({ length: 1203 }, (_, i) => `e${i}`)
      await ledger.transact((tx) => {
        for (const key of many) record(tx, key)
      })
      const log = await recorded(ledger)
      deepEqual(
        log.map(({ key }) => key),
        ['first', ...many],
      )
      deepEqual(await recorded(ledger, none.position), log.slice(1))
      for (const i of [0, 1, 499, 500, 501, 1203]) deepEqual(await recorded(ledger, log[i]?.position), log.slice(i + 1))
    },
  },
  {
    id: 'events.meanwhile',
    title: 'a consumer that leaves and resumes while commits go on is told each event once, in order',
    why: 'What is committed while a page is read would be missing between that page and the next.',
    async run(ledger) {
      const below = chances()
      const keys: string[] = []
      const seen: string[] = []
      let since: string | number = 0
      const consume = async (most: number) => {
        let left = most
        for await (const page of ledger.events({ since, signal: new AbortController().signal }))
          for (const event of page) {
            if (left-- === 0) return
            seen.push('key' in event ? event.key : '')
            since = event.position
          }
      }
      for (let turn = 0; turn < 30; turn++) {
        const more = Array.from({ length: below(40) }, (_, i) => `${turn}.${i}`)
        keys.push(...more)
        const commits = more.map((key) => ledger.transact((tx) => record(tx, key)))
        await Promise.all([consume(below(30)), ...commits])
      }
      await consume(Number.POSITIVE_INFINITY)
      deepEqual(seen, keys)
    },
  },
  {
    id: 'events.no-position',
    title: 'events() behind what is no position of this store is refused',
    why: 'A consumer of a store that was restored from a backup waits for a position that comes again, and misses all before it.',
    async run(ledger) {
      await ledger.transact((tx) => record(tx, 'k'))
      for (const none of ['', 'no position']) await rejects(recorded(ledger, none), { code: 'INVALID_ARGUMENT' })
      await rejects(recorded(ledger, Number.MAX_SAFE_INTEGER), { code: 'NOT_FOUND' })
    },
  },
  {
    id: 'events.abort',
    title: 'events() whose signal is aborted throws its reason',
    why: 'A loop over a long log could not be left.',
    async run(ledger) {
      await ledger.transact((tx) => record(tx, 'k'))
      const reason = new Error('enough')
      const events = ledger.events({ since: 0, signal: AbortSignal.abort(reason) })
      await rejects(Array.fromAsync(events), (found) => found === reason)
    },
  },
  {
    id: 'events.unreadable',
    title: 'an event that is no JSON fails its plan alone',
    why: 'Metadata of one caller would fail the puts of all others.',
    async run(ledger) {
      const circular: Record<string, unknown> = { ...eventOf('b') }
      circular.self = circular
      const outcomes = await Promise.allSettled([
        ledger.transact((tx) => record(tx, 'a')),
        ledger.transact((tx) => ledger.record(tx, circular as never)),
        ledger.transact((tx) => ledger.record(tx, eventOf('c'))),
      ])
      deepEqual(
        outcomes.map(({ status }) => status),
        ['fulfilled', 'rejected', 'fulfilled'],
      )
      deepEqual(
        (await recorded(ledger)).map(({ key }) => key),
        ['a', 'c'],
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
      const long = 'k'.repeat(1979)
      const outcomes = await Promise.allSettled([
        ledger.transact((tx) => put(tx, 'a', '1')),
        ledger.transact((tx) => put(tx, long, '1')),
        ledger.transact((tx) => remove(tx, long)),
        ledger.transact((tx) => writerOf(tx).add(COUNTS, bytes(long), [1])),
        ledger.transact((tx) => put(tx, 'c', '1')),
      ])
      deepEqual(
        outcomes.map((outcome) => (outcome.status === 'rejected' ? outcome.reason.code : 'done')),
        ['done', 'INVALID_KEY', 'INVALID_KEY', 'INVALID_KEY', 'done'],
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
  ...PACK_CASES,
  ...TWO_HANDLES_CASES,
  ...FAILURE_CASES,
]
