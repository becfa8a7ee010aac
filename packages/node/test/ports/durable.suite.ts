import type { Claimed } from '@stored/core'
import { describe, expect, test } from 'vitest'
import {
  bindingOf,
  chunksOf,
  collect,
  collectPages,
  commit,
  factsOf,
  idOf,
  locationOf,
  NEVER,
  type Ports,
} from './subject.ts'

const A = idOf('a')

/** What another process finds. */
export function durableSuite({ open, reopen }: Ports & Required<Pick<Ports, 'reopen'>>): void {
  describe('after close() and open()', () => {
    test('bindings, facts and places are what they were, their revisions too', async () => {
      const before = await open()
      await commit(before, (tx) => {
        before.index.keep(tx, factsOf('a'))
        before.index.bind(tx, bindingOf('k', 'a', { wanted: { x: 'own', s: 'shared' }, owner: 'objects' }))
        before.index.locate(tx, locationOf('a', 'x', 'k', { state: 'synced', holds: { id: A, etag: 'e' } }))
      })
      const read = ({ index, ledger }: typeof before) =>
        ledger.look((view) => [
          index.binding(view, 'k'),
          index.facts(view, A),
          index.locations(view, A, 'synced'),
          index.keys(view, A),
        ])
      const expected = await read(before)
      const after = await reopen(before)
      expect(await read(after)).toEqual(expected)
      await after.close()
    })

    test('waiting, running and parked jobs are there; recover() frees what was running', async () => {
      const before = await open()
      for (const key of ['parked', 'running', 'waiting'])
        await commit(before, (tx) => before.queue.enqueue(tx, { op: 'put', backend: 'x', key, id: A, size: 1 }))
      const claimed = await before.queue.claim('x', { max: 2, leaseMs: 60_000 })
      const [first] = claimed
      if (!first) throw new Error('nothing claimed')
      await commit(before, (tx) => before.queue.park(tx, first, new Error('no') as never))
      const after = await reopen(before)
      const states = (await collectPages(after.queue.jobs({}))).map(({ key, state, attempts }) => [
        key,
        state,
        attempts,
      ])
      expect(states.sort()).toEqual([
        ['parked', 'parked', 1],
        ['running', 'running', 1],
        ['waiting', 'waiting', 0],
      ])
      expect(await after.queue.counts()).toEqual({
        x: { waiting: 1, running: 1, parked: 1, bytes: 3, oldest: expect.any(Number) },
      })
      expect(await after.queue.recover()).toBe(1)
      const claimable = await after.queue.claim('x', { max: 9, leaseMs: 60_000 })
      expect(claimable.map(({ key }) => key).sort()).toEqual(['running', 'waiting'])
      await after.close()
    })

    test('the checkpoint of a job that was running is there for the next try', async () => {
      const before = await open()
      await commit(before, (tx) => before.queue.enqueue(tx, { op: 'put', backend: 'x', key: 'k', id: A, size: 1 }))
      const [job] = await before.queue.claim('x', { max: 1, leaseMs: 60_000 })
      await before.queue.keepCheckpoint(job as Claimed, 'half-way')
      const after = await reopen(before)
      await after.queue.recover()
      expect(await after.queue.claim('x', { max: 1, leaseMs: 60_000 })).toMatchObject([{ checkpoint: 'half-way' }])
      await after.close()
    })

    test('a pause is still there, until resume()', async () => {
      const before = await open()
      await commit(before, (tx) => before.queue.enqueue(tx, { op: 'put', backend: 'x', key: 'k', id: A, size: 1 }))
      await before.queue.pause('x')
      const between = await reopen(before)
      expect(await between.queue.isPaused('x')).toBe(true)
      expect(await between.queue.claim('x', { max: 1, leaseMs: 60_000 })).toEqual([])
      await between.queue.resume('x')
      const after = await reopen(between)
      expect(await after.queue.isPaused('x')).toBe(false)
      expect(await after.queue.claim('x', { max: 1, leaseMs: 60_000 })).toHaveLength(1)
      await after.close()
    })

    test.for([
      ['inline', Buffer.from('a')],
      ['as a file', Buffer.alloc(100_000, 'a')],
    ] as const)('bytes kept %s are there, and only those', async ([, bytes]) => {
      const before = await open()
      const receive = () => before.staging.receive(chunksOf(bytes), { signal: NEVER, whenFull: 'wait' })
      {
        await using staged = await receive()
        await commit(before, (tx) => before.staging.keep(tx, A, staged))
      }
      const files = await before.files()
      await receive() // Neither kept nor disposed, as by a process that was killed.
      const after = await reopen(before)
      await using opened = await after.staging.open(A, { signal: NEVER })
      expect(Buffer.concat(await collect(opened?.body ?? chunksOf())).equals(bytes)).toBe(true)
      await expect.poll(() => after.files()).toEqual(files)
      await after.close()
    })
  })
}
