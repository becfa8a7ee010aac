import type { Committed, Transaction, View } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import { describe, expect, test } from 'vitest'
import { baseOf, Draft } from '../draft.ts'
import { type Reader, readerOf, type TreeLedger, type Writer, writerOf } from '../ledger.ts'
import { MemoryLedger } from '../memory-ledger.ts'
import { decodeNumbers } from '../numbers.ts'
import { CASES } from './cases.ts'
import { type Peer, peerOf } from './peer.ts'
import { type LedgerHarness, runCase } from './run-case.ts'
import { altered, withWrongHints } from './wrong-hints.ts'

type Plan = (tx: Transaction) => unknown
type Altered = Partial<Writer> | { readonly [name: string]: unknown }

const memory = () => new MemoryLedger()
const harnessOf = (open: () => TreeLedger, more: Partial<LedgerHarness> = {}): LedgerHarness => ({
  open: async () => open(),
  ...more,
})
const rehearsed = (open: () => TreeLedger) =>
  harnessOf(open, { rehearses: true, openPeer: async (ledger) => peerOf(ledger) })

const right: [name: string, harness: LedgerHarness][] = [
  ['MemoryLedger', rehearsed(memory)],
  ['MemoryLedger with scrambled tickets', rehearsed(() => new MemoryLedger({ scrambleTickets: true }))],
  ['MemoryLedger with wrong hints', rehearsed(() => withWrongHints(memory()))],
  ['MemoryLedger with wrong hints that leave rows out', rehearsed(() => withWrongHints(memory(), { leavesOut: true }))],
  ['a ledger that commits in groups', grouped()],
]

describe.each(right)('%s', (_, harness) => {
  // A group in memory has one ticket: it is there for the cases of failures.
  const cases = harness.failCommits ? CASES.filter(({ id }) => id.startsWith('failure.')) : CASES
  test.for(cases)('$id', async (one, { skip }) => {
    const reason = await runCase(one, harness)
    if (reason !== null) skip(reason)
  })
})

/** Hands plans a transaction of which some members are others. */
function planning(changes: (tx: Writer, base: Reader) => Altered, ledger: TreeLedger = memory()): TreeLedger {
  return transacting((plan) => ledger.transact((tx) => plan(altered(tx, changes(writerOf(tx), baseOf(tx))))), ledger)
}

function transacting(transact: (plan: Plan) => Promise<Committed<unknown>>, ledger: TreeLedger): TreeLedger {
  return altered(ledger, { transact })
}

function looking(changes: (reader: Reader) => Partial<Reader>, ledger: TreeLedger = memory()): TreeLedger {
  const look = (read: (view: View) => unknown) => ledger.look((view) => read(altered(view, changes(readerOf(view)))))
  return altered(ledger, { look })
}

function listening(change: (o: Parameters<TreeLedger['events']>[0]) => object): TreeLedger {
  const ledger = memory()
  return altered(ledger, { events: (o: Parameters<TreeLedger['events']>[0]) => ledger.events({ ...o, ...change(o) }) })
}

interface Checks {
  readonly rows?: boolean
  readonly hints?: boolean
}

/** Decides over the rows at hand, and writes a turn later; checks by then only some of what it read. */
function optimist(checks: Checks = {}, ledger: TreeLedger = memory()): TreeLedger {
  const transact = async (plan: Plan): Promise<Committed<unknown>> => {
    const read: ((reader: Reader) => string)[] = []
    const run = await ledger.look((view) => {
      const draft = new Draft(readerOf(view), { ticket: 1n, now: 0 })
      const tx = altered(draft, {
        get: (tree: string, key: Buffer, decode: (value: Buffer) => unknown) => {
          if (checks.rows) read.push((reader) => `${reader.get(tree, key, (row) => row.toString('hex'))}`)
          return draft.get(tree, key, decode)
        },
        hint: (tree: string, range: Parameters<Reader['range']>[1]) => {
          if (checks.hints) read.push((reader) => reader.range(tree, range).join())
          return draft.hint(tree, range)
        },
      })
      const value = plan(tx as unknown as Transaction)
      return { draft, value, seen: read.splice(0).map((again) => ({ again, was: again(readerOf(view)) })) }
    })
    await new Promise(setImmediate)
    const isStale = await ledger.look((view) => run.seen.some(({ again, was }) => again(readerOf(view)) !== was))
    if (isStale) return transact(plan)
    return ledger.transact((tx) => {
      replay(run.draft, writerOf(tx))
      return run.value
    })
  }
  return transacting(transact, ledger)
}

function replay({ writes, added, events }: Draft, writer: Writer): void {
  for (const { tree, key, value } of writes) value ? writer.put(tree, key, value) : writer.remove(tree, key)
  for (const { tree, key, deltas } of added) writer.add(tree, key, deltas)
  for (const event of events) writer.record(JSON.parse(event))
}

/** Lets its own plans take turns, so that only those of another handle come in between. */
function inTurns(ledger: TreeLedger): TreeLedger {
  let last: Promise<unknown> = Promise.resolve()
  return transacting((plan) => {
    const own = last.then(() => ledger.transact(plan))
    last = own.catch(() => {})
    return own
  }, ledger)
}

/** Two handles on one store, in memory. */
function handles(one: (shared: MemoryLedger) => TreeLedger, other: (shared: MemoryLedger) => Peer | TreeLedger) {
  let shared = memory()
  const open = () => {
    shared = memory()
    return one(shared)
  }
  const openPeer = async () => {
    const peer = other(shared)
    return 'rows' in peer ? peer : peerOf(peer)
  }
  return harnessOf(open, { openPeer })
}

interface Grouped {
  readonly tellsThrowsAtOnce?: boolean
  readonly failsAllInLine?: boolean
}

/** Commits what waits in groups of three; its commits can be made to fail. */
function grouped({ tellsThrowsAtOnce = false, failsAllInLine = false }: Grouped = {}): LedgerHarness {
  const failure = new StorageError('UNAVAILABLE', { op: 'commit' })
  let fails = false
  const open = () => {
    const ledger = memory()
    const waiting: { plan: Plan; resolve(done: unknown): void; reject(error: unknown): void }[] = []
    const commit = async () => {
      const group = waiting.splice(0, 3)
      let values: (() => unknown)[] = []
      const committed = ledger.transact((tx) => {
        values = group.map(({ plan, reject }) => {
          try {
            const draft = new Draft(writerOf(tx), tx).run(plan)
            replay(draft, writerOf(tx))
            return () => draft.value
          } catch (error) {
            if (tellsThrowsAtOnce) reject(error)
            return () => {
              throw error
            }
          }
        })
        if (fails) throw failure
      })
      await committed.then(
        (done) => {
          for (const [i, { resolve, reject }] of group.entries())
            Promise.try(values[i] as () => unknown).then((value) => resolve({ ...done, value }), reject)
        },
        () => {
          for (const { reject } of [...group, ...(failsAllInLine ? waiting.splice(0) : [])]) reject(failure)
        },
      )
      if (waiting.length > 0) setImmediate(commit)
    }
    const transact = (plan: Plan) =>
      new Promise<Committed<unknown>>((resolve, reject) => {
        waiting.push({ plan, resolve: resolve as (done: unknown) => void, reject })
        if (waiting.length === 1) setImmediate(commit)
      })
    return transacting(transact, ledger)
  }
  const failCommits = async () => {
    fails = true
    return async () => {
      fails = false
    }
  }
  return harnessOf(open, { failCommits })
}

/** Looks at the rows as they were with its own last commit. */
function lookingBack(ledger: TreeLedger): TreeLedger {
  let known: [Buffer, Buffer][] = []
  const range = { from: Buffer.alloc(0), to: Buffer.of(0xff) }
  const transact = async (plan: Plan) => {
    const done = await ledger.transact(plan)
    known = await ledger.look((view) => readerOf(view).range('keys', range))
    return done
  }
  return altered(
    looking(() => ({ range: () => known }), ledger),
    { transact },
  )
}

const swallowing =
  (call: (...args: never[]) => unknown) =>
  (...args: unknown[]): void => {
    try {
      call(...(args as never[]))
    } catch {}
  }

function byOwnNumbers(peer: Peer): Peer {
  let last = 0
  return {
    ...peer,
    run: async (steps) => (await peer.run(steps)).map((done) => ({ ...done, position: String(++last) })),
  }
}

const nothing: Reader = { get: () => undefined, range: () => [], piece: () => undefined }
const single = (open: () => TreeLedger) => harnessOf(open)

const mutants: [title: string, killers: string[], harness: LedgerHarness][] = [
  [
    'forgets own writes in a range',
    ['reads.own-range', 'reads.model', 'plan.link-and-unlink', 'plan.500-in-one'],
    single(() => planning((_, base) => ({ range: base.range.bind(base) }))),
  ],
  ['forgets own writes', ['reads.own-write'], single(() => planning((_, base) => ({ get: base.get.bind(base) })))],
  [
    'ends a range behind its last key',
    ['reads.range'],
    single(() =>
      looking((reader) => ({
        range: (tree, range) => reader.range(tree, { ...range, to: Buffer.concat([range.to, Buffer.of(0)]) }),
      })),
    ),
  ],
  [
    'hands out the rows that it keeps',
    ['reads.copies'],
    single(() => {
      const handed: Buffer[] = []
      const ledger = looking((reader) => ({
        range: (tree, range) => {
          const rows = reader.range(tree, range)
          handed.push(...rows.map(([, value]) => value))
          return rows
        },
      }))
      return transacting(async (plan) => {
        const done = await ledger.transact(plan)
        for (const value of handed) value.fill('x')
        return done
      }, ledger)
    }),
  ],
  [
    'takes keys for text',
    ['reads.bytes'],
    single(() => planning((tx) => ({ put: (tree, key, value) => tx.put(tree, Buffer.from(String(key)), value) }))),
  ],
  ['drops an add', ['add.sums'], single(() => planning(() => ({ add: () => {} })))],
  [
    'shows a plan what it added',
    ['add.unseen'],
    single(() =>
      planning((tx) => {
        let own = 0
        return {
          add: (tree: string, key: Buffer, deltas: number[]) => {
            own += deltas[0] ?? 0
            tx.add(tree, key, deltas)
          },
          get: (tree: string, key: Buffer, decode: (value: Buffer) => unknown) =>
            tree === 'counts' && own > 0
              ? [(tx.get(tree, key, decodeNumbers)?.[0] ?? 0) + own]
              : tx.get(tree, key, decode),
        }
      }),
    ),
  ],
  [
    'adds numbers that are to be set',
    ['add.set'],
    single(() =>
      planning((tx) => ({
        put: (tree, key, value) =>
          tree === 'counts' ? tx.add(tree, key, decodeNumbers(value as Buffer)) : tx.put(tree, key, value),
      })),
    ),
  ],
  [
    'runs afterwards twice',
    ['afterwards.once'],
    single(() => planning((tx) => ({ afterwards: (action) => void [0, 1].map(() => tx.afterwards(action)) }))),
  ],
  [
    'records no second event',
    ['events.order'],
    single(() =>
      planning((tx) => {
        let count = 0
        return { record: (event) => (count++ === 0 ? tx.record(event) : undefined) }
      }),
    ),
  ],
  [
    'passes over an event that is no JSON',
    ['events.unreadable'],
    single(() => planning((tx) => ({ record: swallowing(tx.record.bind(tx)) }))),
  ],
  [
    'begins the log at its position, not behind it',
    ['events.since', 'events.meanwhile'],
    single(() => listening(({ since }) => ({ since: Math.max(0, Number(since) - 1) }))),
  ],
  [
    'begins the log anew behind a position that it does not know',
    ['events.no-position'],
    single(() => listening(({ since }) => ({ since: Number(since) || 0 }))),
  ],
  [
    'reads the log to its end, whatever its signal says',
    ['events.abort'],
    single(() => listening(() => ({ signal: new AbortController().signal }))),
  ],
  ['forgets the guard of a row', ['guard.row', 'hint.read-again', 'reads.same-turn'], single(() => optimist())],
  ['forgets the guard of a range', ['guard.range'], single(() => optimist({ rows: true }))],
  ['guards a hint', ['hint.no-guard'], single(() => optimist({ hints: true }))],
  [
    'runs a plan once',
    ['plan.impure'],
    rehearsed(() => {
      const ledger = memory()
      return transacting(async (plan) => {
        const draft = new Draft(nothing, { ticket: 1n, now: 0 }).run(plan)
        return ledger.transact((tx) => replay(draft, writerOf(tx)))
      }, ledger)
    }),
  ],
  [
    'runs a plan once too often in effect',
    ['add.sums'],
    single(() => {
      const ledger = memory()
      return transacting((plan) => ledger.transact(plan).then(() => ledger.transact(plan)), ledger)
    }),
  ],
  [
    'reports a throw on a guess',
    ['plan.throws-on-guess'],
    single(() => {
      const ledger = memory()
      return transacting(async (plan) => {
        new Draft(nothing, { ticket: 1n, now: 0 }).run(plan)
        return ledger.transact(plan)
      }, ledger)
    }),
  ],
  [
    "loses a group's order",
    ['events.order'],
    single(() => {
      const ledger = memory()
      let count = 0
      return transacting(async (plan) => {
        if (count++ % 2 === 0) await new Promise(setImmediate)
        return ledger.transact(plan)
      }, ledger)
    }),
  ],
  [
    'tells before it is written',
    ['plan.value'],
    single(() => {
      const ledger = memory()
      return transacting(async (plan) => {
        const { value } = await ledger.look((view) => new Draft(readerOf(view), { ticket: 1n, now: 0 }).run(plan))
        setImmediate(() => ledger.transact(plan).catch(() => {}))
        return { value, position: '0', seq: 0, events: [] }
      }, ledger)
    }),
  ],
  [
    'keeps what a refused plan wrote',
    ['plan.throws'],
    single(() => {
      const ledger = memory()
      return transacting(async (plan) => {
        const { value, ...done } = await ledger.transact((tx) => {
          try {
            return { result: plan(tx) }
          } catch (error) {
            return { error }
          }
        })
        if ('error' in value) throw value.error
        return { ...done, value: value.result }
      }, ledger)
    }),
  ],
  [
    'takes a promise for a result',
    ['plan.thenable'],
    single(() => {
      const ledger = memory()
      return transacting(async (plan) => {
        const { value, ...done } = await ledger.transact((tx) => ({ result: plan(tx) }))
        return { ...done, value: value.result }
      }, ledger)
    }),
  ],
  [
    'takes what is no plan for one that does nothing',
    ['plan.no-function'],
    single(() => {
      const ledger = memory()
      return transacting((plan) => ledger.transact(typeof plan === 'function' ? plan : () => {}), ledger)
    }),
  ],
  [
    'lets a write into a plan that is over go by',
    ['plan.over'],
    single(() => planning((tx) => ({ put: swallowing(tx.put.bind(tx)) }))),
  ],
  ['tells a plan another time', ['plan.now'], single(() => planning(() => ({ now: 0 })))],
  ['gives all plans one ticket', ['ticket.unique'], single(() => planning(() => ({ ticket: 7n })))],
  [
    'cuts values off',
    ['value.large'],
    single(() => planning((tx) => ({ put: (tree, key, value) => tx.put(tree, key, value.subarray(0, 65_536)) }))),
  ],
  [
    'appends at the beginning of each pack',
    ['packs.read'],
    single(() => planning((tx) => ({ append: (owner, bytes) => ({ ...tx.append(owner, bytes), offset: 0 }) }))),
  ],
  [
    'appends to one pack only',
    ['packs.bounded'],
    single(() => planning((tx) => ({ append: (owner, bytes) => ({ ...tx.append(owner, bytes), pack: 1 }) }))),
  ],
  [
    'appends what a refused plan appended',
    ['packs.refused'],
    single(() => {
      const ledger = memory()
      return transacting(async (plan) => {
        const lost: [Uint8Array, Uint8Array][] = []
        const noting = (tx: Writer) => (owner: Uint8Array, bytes: Uint8Array) => {
          lost.push([owner, bytes])
          return tx.append(owner, bytes)
        }
        const append = (tx: Transaction) => {
          lost.length = 0
          return plan(altered(tx, { append: noting(writerOf(tx)) }))
        }
        return ledger.transact(append).catch(async (error) => {
          await ledger.transact((tx) => lost.forEach(([owner, bytes]) => void writerOf(tx).append(owner, bytes)))
          throw error
        })
      }, ledger)
    }),
  ],
  [
    'never discards what was appended',
    ['packs.discard', 'packs.discard-own', 'packs.sparse'],
    single(() => planning(() => ({ discard: () => {} }))),
  ],
  [
    'cuts keys off',
    ['key.too-long'],
    single(() => planning((tx) => ({ put: (tree, key, value) => tx.put(tree, key.subarray(0, 1978), value) }))),
  ],
  [
    'takes a look that throws for one that finds nothing',
    ['look.throws'],
    single(() => {
      const ledger = memory()
      return altered(ledger, { look: (read: (view: View) => unknown) => ledger.look(read).catch(() => undefined) })
    }),
  ],
  ['looks at what was there a commit ago', ['plan.value'], single(() => looking(() => nothing))],
  ['goes on when it is closed', ['closed'], single(() => altered(memory(), { close: async () => {} }))],
  ['has a store for each handle', ['two.plans'], handles((one) => one, memory)],
  ['looks at the rows of its own last commit', ['two.looks'], handles(lookingBack, (shared) => shared)],
  [
    'guards rows against its own plans alone',
    ['two.rows', 'two.claims'],
    handles(
      (shared) => inTurns(optimist({}, shared)),
      (shared) => inTurns(optimist({}, shared)),
    ),
  ],
  [
    'guards ranges against its own plans alone',
    ['two.ranges'],
    handles(
      (shared) => inTurns(optimist({ rows: true }, shared)),
      (shared) => inTurns(optimist({ rows: true }, shared)),
    ),
  ],
  [
    'numbers events by itself',
    ['two.events'],
    handles(
      (one) => one,
      (shared) => byOwnNumbers(peerOf(shared)),
    ),
  ],
  [
    'counts tickets by itself',
    ['two.tickets'],
    handles(
      (shared) => ticking(shared),
      (shared) => ticking(shared),
    ),
  ],
  ['tells a throw at once', ['failure.all-told', 'durable.throw'], grouped({ tellsThrowsAtOnce: true })],
  ['fails all that are in line', ['failure.in-line'], grouped({ failsAllInLine: true })],
  ['forgets with its process', ['durable.reopen'], harnessOf(memory, { reopen: async () => memory() })],
]

function ticking(ledger: TreeLedger): TreeLedger {
  const tickets = new Map<bigint, bigint>()
  return planning(({ ticket }) => {
    tickets.set(ticket, tickets.get(ticket) ?? BigInt(tickets.size))
    return { ticket: tickets.get(ticket) }
  }, ledger)
}

describe.each(mutants)('a ledger that %s', (_, killers, harness) => {
  test.each(killers)('is found out by %s', async (killer) => {
    const one = CASES.find(({ id }) => id === killer)
    await expect(runCase(one as (typeof CASES)[number], harness)).rejects.toThrow()
  })
})

test('every case finds out a ledger', () => {
  const killers = new Set(mutants.flatMap(([, ids]) => ids))
  expect(CASES.map(({ id }) => id).filter((id) => !killers.has(id))).toEqual([])
})
