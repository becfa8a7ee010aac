import { deepEqual, equal, ok } from 'node:assert/strict'
import { StorageError } from '@stored/core/backend'
import { all, count, counter, get, put, record, recorded } from './rows.ts'
import type { LedgerCase } from './run-case.ts'

const reasonOf = (outcome: PromiseSettledResult<unknown>): unknown =>
  outcome.status === 'rejected' ? outcome.reason : undefined

/** What holds when a commit fails, and after it. */
export const FAILURE_CASES: readonly LedgerCase[] = [
  {
    id: 'failure.all-told',
    title: 'when a commit fails all its plans are told so, those that threw too, and nothing of it is there',
    why: 'An error that rests on rows that were never written tells a caller of a conflict with nobody.',
    needs: 'failCommits',
    async run(ledger, { failCommits }) {
      await ledger.transact((tx) => put(tx, 'before', '1'))
      const heal = await failCommits(ledger)
      const group = await Promise.allSettled([
        ledger.transact((tx) => {
          put(tx, 'a', '1')
          record(tx, 'a')
        }),
        count(ledger, 1),
        ledger.transact((tx) => {
          throw new Error(`a is ${get(tx, 'a')}`)
        }),
      ])
      await heal()
      for (const outcome of group) ok(StorageError.is(reasonOf(outcome)), `told ${reasonOf(outcome)}`)
      deepEqual(await all(ledger), ['before=1'])
      equal(await ledger.look(counter), undefined)
      deepEqual(await recorded(ledger), [])
      await ledger.transact((tx) => put(tx, 'behind', '1'))
      deepEqual(await all(ledger), ['before=1', 'behind=1'])
    },
  },
  {
    id: 'failure.in-line',
    title: 'when a commit fails, plans that had not begun stay in line',
    why: 'Calls that nothing is wrong with are refused, all that wait at once, for a fault that is over.',
    needs: 'failCommits',
    async run(ledger, { failCommits }) {
      const heal = await failCommits(ledger)
      const begun = new Set<number>()
      let healing: Promise<void> | undefined
      const many = Array.from({ length: 600 }, (_, i) =>
        ledger.transact((tx) => {
          begun.add(i)
          put(tx, `k${i}`, '')
        }),
      )
      for (const one of many) one.catch(() => (healing ??= heal()))
      const outcomes = await Promise.allSettled(many)
      await healing
      const told = outcomes.flatMap((outcome, i) => (outcome.status === 'rejected' && !begun.has(i) ? [i] : []))
      deepEqual(told, [])
      ok(outcomes[0]?.status === 'rejected', 'the first commit did not fail')
      equal(await ledger.look((view) => get(view, 'k0')), undefined)
    },
  },
  {
    id: 'durable.reopen',
    title: 'what was resolved is there when the store is opened again, rows, numbers and events, in their order',
    why: 'A put that was answered is lost with its process.',
    needs: 'reopen',
    async run(ledger, { reopen }) {
      await ledger.transact((tx) => put(tx, 'a', '1'))
      await count(ledger, 2, 3)
      const { position } = await ledger.transact((tx) => record(tx, 'first'))
      const again = await reopen(ledger)
      try {
        deepEqual(await all(again), ['a=1'])
        deepEqual(await again.look(counter), [2, 3])
        const behind = await again.transact((tx) => record(tx, 'second'))
        deepEqual(await recorded(again, position), [{ key: 'second', position: behind.position }])
        deepEqual(
          (await recorded(again)).map(({ key }) => key),
          ['first', 'second'],
        )
      } finally {
        await again.close()
      }
    },
  },
  {
    id: 'durable.throw',
    title: 'a plan that throws is told so only after the commits whose rows it read',
    why: 'A caller is told that a key is taken by a put that its power cut then takes away.',
    async run(ledger) {
      const told: string[] = []
      const putting = ledger.transact((tx) => put(tx, 'k', '1')).then(() => told.push('durable'))
      const refused = ledger
        .transact((tx) => {
          if (get(tx, 'k') !== undefined) throw new Error('it is taken')
        })
        .then(
          () => told.push('not seen'),
          () => told.push('refused'),
        )
      await Promise.all([putting, refused])
      if (told.includes('refused')) deepEqual(told, ['durable', 'refused'])
    },
  },
]
