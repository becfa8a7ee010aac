import type { PutEvent, View } from '@stored/core'
import { describe, expect, test } from 'vitest'
import { type Current, collect, commit, factsOf, failPlan, idOf, NEVER } from './subject.ts'

const CONFLICT = { code: 'CONFLICT', at: { op: 'commit' }, retryable: true }

export function ledgerSuite(current: Current): void {
  const binding = (key: string) => current().ledger.look((view) => current().index.binding(view, key))

  describe('transact()', () => {
    test('resolves with sequence numbers that rise in the order of the commits', async () => {
      const { ledger, index } = current()
      const seqs: number[] = []
      const one = (i: number) =>
        ledger.transact((tx) => index.bind(tx, `k${i}`, idOf('a'))).then(({ seq }) => seqs.push(seq))
      await one(0)
      await Promise.all(Array.from({ length: 64 }, (_, i) => one(i + 1)))
      await one(65)
      expect(seqs).toEqual([...new Set(seqs)].sort((a, b) => a - b))
      expect(seqs).toHaveLength(66)
    })

    test('shows what it wrote to whoever reads as soon as it resolved', async () => {
      const { index } = current()
      for (let i = 0; i < 20; i++) {
        const [key, id] = [`k${i}`, idOf(`${i}`)]
        expect(await binding(key)).toBeNull()
        await commit(current(), (tx) => index.bind(tx, key, id))
        expect(await binding(key)).toMatchObject({ key, id })
      }
    })

    test('that collects nothing resolves', async () => {
      await expect(commit(current(), () => {})).resolves.toMatchObject({ seq: expect.any(Number) })
    })

    test('whose collecting throws rejects with that error and writes nothing', async () => {
      const { index } = current()
      const error = new Error('no')
      const failing = commit(current(), (tx) => {
        index.bind(tx, 'k', idOf('a'))
        throw error
      })
      await expect(failing).rejects.toBe(error)
      expect(await binding('k')).toBeNull()
    })

    test('of which a step throws writes nothing, and fails no other of the same moment', async () => {
      const { index, ledger } = current()
      const outcomes = await Promise.allSettled([
        ledger.transact((tx) => index.bind(tx, 'before', idOf('a'))),
        ledger.transact((tx) => {
          index.bind(tx, 'failing', idOf('a'))
          // No row can be named so.
          index.bind(tx, 'k'.repeat(10_000), idOf('a'))
        }),
        ledger.transact((tx) => index.bind(tx, 'behind', idOf('a'))),
      ])
      expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
      expect(await binding('failing')).toBeNull()
      expect(await binding('behind')).not.toBeNull()
    })
  })

  describe('what a plan reads', () => {
    test('is still so when its writes take effect: of many at the same moment the first one binds the key', async () => {
      const { index } = current()
      const bindIfAbsent = (text: string) =>
        commit(current(), (tx) => {
          if (index.binding(tx, 'k')) failPlan()
          index.bind(tx, 'k', idOf(text))
        })
      const outcomes = await Promise.allSettled([
        commit(current(), (tx) => index.bind(tx, 'bystander 1', idOf('x'))),
        bindIfAbsent('first'),
        bindIfAbsent('second'),
        commit(current(), (tx) => index.bind(tx, 'bystander 2', idOf('x'))),
        bindIfAbsent('third'),
      ])
      expect(outcomes.map(({ status }) => status)).toEqual([
        'fulfilled',
        'fulfilled',
        'rejected',
        'fulfilled',
        'rejected',
      ])
      expect(outcomes[2]).toMatchObject({ reason: CONFLICT })
      expect(await binding('k')).toMatchObject({ id: idOf('first') })
      expect(await binding('bystander 2')).not.toBeNull()
    })

    test('and writes loses no update of many at once', async () => {
      const { index, ledger } = current()
      const customOf = (view: View) => index.facts(view, idOf('a'))?.custom.n as number
      await commit(current(), (tx) => index.keep(tx, factsOf('a', { custom: { n: 0 } })))
      const increment = () =>
        commit(current(), (tx) => index.keep(tx, factsOf('a', { custom: { n: customOf(tx) + 1 } })))
      await Promise.all(Array.from({ length: 20 }, increment))
      expect(await ledger.look(customOf)).toBe(20)
    })
  })

  describe('events()', () => {
    const eventOf = (key: string): PutEvent => ({
      type: 'put',
      checksum: idOf(key),
      key,
      size: 1,
      isNew: true,
      time: 1_732_844_100_000,
    })
    const record = (key: string) => commit(current(), (tx) => current().ledger.record(tx, eventOf(key)))
    const eventsSince = (since: number) => collect(current().ledger.events({ since, signal: NEVER }))

    test('yields what commits recorded, with their numbers and in their order', async () => {
      const keys = Array.from({ length: 40 }, (_, i) => `k${i}`)
      const commits = await Promise.all(keys.map(record))
      expect(await eventsSince(0)).toEqual(
        keys.map((key, i) => ({ ...eventOf(key), seq: commits[i]?.seq, position: commits[i]?.position })),
      )
    })

    test('yields what lies behind since, which may be the number of a commit without an event', async () => {
      const { index } = current()
      await record('before')
      const { seq } = await commit(current(), (tx) => index.bind(tx, 'k', idOf('a')))
      const { seq: behind, position } = await record('behind')
      expect(await eventsSince(seq)).toEqual([{ ...eventOf('behind'), seq: behind, position }])
      expect(await eventsSince(behind)).toEqual([])
    })

    test('holds nothing of a commit that failed', async () => {
      const { ledger } = current()
      const failing = commit(current(), (tx) => {
        ledger.record(tx, eventOf('k'))
        failPlan()
      })
      await expect(failing).rejects.toMatchObject(CONFLICT)
      expect(await eventsSince(0)).toEqual([])
    })

    test('aborted throws the reason of its signal', async () => {
      await record('k')
      const reason = new Error('enough')
      const events = current().ledger.events({ since: 0, signal: AbortSignal.abort(reason) })
      await expect(collect(events)).rejects.toBe(reason)
    })
  })
}
