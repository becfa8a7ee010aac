import type { Committed, Transaction, View } from '@stored/core'
import { describe, expect, test } from 'vitest'
import { baseOf, Draft } from '../draft.ts'
import type { Range, Reader, Tree, Writer } from '../ledger.ts'
import { MemoryLedger } from '../memory-ledger.ts'
import { decodeNumbers } from '../numbers.ts'
import { CASES } from './cases.ts'
import { runCase } from './run-case.ts'

describe('MemoryLedger', () => {
  test.each(CASES.map((one) => [one.id, one] as const))('%s', async (_, one) => {
    expect(await runCase(one, { open: async () => new MemoryLedger(), rehearses: true })).toBe(true)
  })

  test.each(CASES.map((one) => [one.id, one] as const))('with scrambled tickets: %s', async (_, one) => {
    await runCase(one, { open: async () => new MemoryLedger({ scrambleTickets: true }), rehearses: true })
  })
})

type Plan<T> = (tx: Transaction) => T

/** Hands plans a transaction of which some calls do something else. */
class Altered extends MemoryLedger {
  readonly #changes: (tx: Writer, base: Reader) => Partial<Writer>

  constructor(changes: (tx: Writer, base: Reader) => Partial<Writer>) {
    super()
    this.#changes = changes
  }

  override transact<T>(plan: Plan<T>): Promise<Committed<T>> {
    return super.transact((tx) => {
      const own = this.#changes(tx as unknown as Writer, baseOf(tx)) as Record<PropertyKey, unknown>
      const get = (target: Transaction, name: PropertyKey) => {
        if (name in own) return own[name]
        const value = Reflect.get(target, name, target)
        return typeof value === 'function' ? value.bind(target) : value
      }
      return plan(new Proxy(tx, { get }))
    })
  }
}

/** Decides over the rows at hand, and writes a turn later. */
class Optimist extends MemoryLedger {
  override async transact<T>(plan: Plan<T>): Promise<Committed<T>> {
    const read: { tree: Tree; key: Uint8Array; value: string | undefined }[] = []
    const base: Reader = {
      get: (tree, key, decode) => {
        read.push({ tree, key, value: this.get(tree, key, (row) => row.toString('hex')) })
        return this.get(tree, key, decode)
      },
      range: (tree: Tree, range: Range) => this.range(tree, range),
    }
    const draft = new Draft(base, { ticket: 1n, now: 0 }).run(plan as Plan<unknown>)
    await new Promise(setImmediate)
    // Checks rows and forgets ranges.
    if (
      this.checksRows &&
      read.some(({ tree, key, value }) => this.get(tree, key, (row) => row.toString('hex')) !== value)
    )
      return this.transact(plan)
    return super.transact((tx) => {
      for (const { tree, key, value } of draft.writes)
        value ? (tx as unknown as Writer).put(tree, key, value) : (tx as unknown as Writer).remove(tree, key)
      return draft.value as T
    })
  }

  checksRows = false
}

const mutants: [title: string, killer: string, open: () => MemoryLedger][] = [
  ['forgets own writes in a range', 'reads.own-range', () => new Altered((_, base) => ({ range: base.range }))],
  ['forgets own writes', 'reads.own-write', () => new Altered((_, base) => ({ get: base.get }))],
  ['drops an add', 'add.sums', () => new Altered(() => ({ add: () => {} }))],
  [
    'shows a plan what it added',
    'add.unseen',
    () =>
      new Altered((tx) => {
        let own = 0
        return {
          add: (tree, key, deltas) => {
            own += deltas[0] ?? 0
            tx.add(tree, key, deltas)
          },
          get: (tree, key, decode) =>
            tree === 'counts' && own > 0
              ? ([(tx.get(tree, key, decodeNumbers)?.[0] ?? 0) + own] as never)
              : tx.get(tree, key, decode),
        }
      }),
  ],
  [
    'runs afterwards twice',
    'afterwards.once',
    () => new Altered((tx) => ({ afterwards: (action) => [0, 1].map(() => tx.afterwards(action)) as never })),
  ],
  [
    'records no second event',
    'events.order',
    () => {
      return new Altered((tx) => {
        let count = 0
        return { record: (event) => (count++ === 0 ? tx.record(event) : undefined) }
      })
    },
  ],
  ['forgets the guard of a row', 'guard.row', () => new Optimist()],
  ['forgets the guard of a range', 'guard.range', () => Object.assign(new Optimist(), { checksRows: true })],
  [
    'runs a plan once too often in effect',
    'add.sums',
    () => {
      const ledger = new MemoryLedger()
      const transact = ledger.transact.bind(ledger)
      return Object.assign(ledger, { transact: (plan: Plan<unknown>) => transact(plan).then(() => transact(plan)) })
    },
  ],
  [
    'reports a throw on a guess',
    'plan.throws-on-guess',
    () => {
      const ledger = new MemoryLedger()
      const transact = ledger.transact.bind(ledger)
      const nothing: Reader = { get: () => undefined, range: () => [] }
      return Object.assign(ledger, {
        transact: async (plan: Plan<unknown>) => {
          new Draft(nothing, { ticket: 1n, now: 0 }).run(plan)
          return transact(plan)
        },
      })
    },
  ],
  [
    "loses a group's order",
    'events.order',
    () => {
      const ledger = new MemoryLedger()
      const transact = ledger.transact.bind(ledger)
      let count = 0
      return Object.assign(ledger, {
        transact: async (plan: Plan<unknown>) => {
          if (count++ % 2 === 0) await new Promise(setImmediate)
          return transact(plan)
        },
      })
    },
  ],
  [
    'tells before it is written',
    'plan.value',
    () => {
      const ledger = new MemoryLedger()
      const transact = ledger.transact.bind(ledger)
      return Object.assign(ledger, {
        transact: async (plan: Plan<unknown>) => {
          const { value } = new Draft(ledger, { ticket: 1n, now: 0 }).run(plan)
          setImmediate(() => transact(plan).catch(() => {}))
          return { value, position: '0', seq: 0 }
        },
      })
    },
  ],
  [
    'keeps what a refused plan wrote',
    'plan.throws',
    () => {
      const ledger = new MemoryLedger()
      const transact = ledger.transact.bind(ledger)
      return Object.assign(ledger, {
        transact: async (plan: Plan<unknown>) => {
          const { value } = await transact((tx) => {
            try {
              return { result: plan(tx) }
            } catch (error) {
              return { error }
            }
          })
          if ('error' in value) throw value.error
          return { value: value.result, position: String(ledger.seq), seq: ledger.seq }
        },
      })
    },
  ],
  [
    'takes a promise for a result',
    'plan.thenable',
    () => {
      const ledger = new MemoryLedger()
      const transact = ledger.transact.bind(ledger)
      return Object.assign(ledger, {
        transact: async (plan: Plan<unknown>) => {
          const { value, ...rest } = await transact((tx) => ({ result: plan(tx) }))
          return { ...rest, value: value.result }
        },
      })
    },
  ],
  [
    'looks at what was there a commit ago',
    'plan.value',
    () => {
      const ledger = new MemoryLedger()
      const former: Reader = { get: () => undefined, range: () => [] }
      return Object.assign(ledger, { look: async (read: (view: View) => unknown) => read(former as unknown as View) })
    },
  ],
]

test.each(mutants)('a ledger that %s is found out by %s', async (_, killer, open) => {
  const one = CASES.find(({ id }) => id === killer)
  await expect(runCase(one as (typeof CASES)[number], { open: async () => open() as MemoryLedger })).rejects.toThrow()
})
