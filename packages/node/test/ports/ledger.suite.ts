import type { PutEvent } from '@stored/core'
import { describe, expect, test } from 'vitest'
import { type Current, collect, commit, factsOf, idOf, NEVER } from './subject.ts'

const CONFLICT = { code: 'CONFLICT', at: { op: 'commit' }, retryable: true }

export function ledgerSuite(current: Current): void {
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
        expect(await index.binding(key)).toBeNull()
        await commit(current(), (tx) => index.bind(tx, key, id))
        expect(await index.binding(key)).toMatchObject({ key, id })
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
      expect(await index.binding('k')).toBeNull()
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
      expect(await index.binding('failing')).toBeNull()
      expect(await index.binding('behind')).not.toBeNull()
    })
  })

  describe('a guard', () => {
    test('on a binding that was bound anew rejects CONFLICT and writes nothing', async () => {
      const { index } = current()
      await commit(current(), (tx) => index.bind(tx, 'k', idOf('a')))
      const read = await index.binding('k')
      await commit(current(), (tx) => index.bind(tx, 'k', idOf('b')))
      const stale = commit(current(), (tx) => {
        index.bind(tx, 'other', idOf('c'))
        index.expect(tx, { key: 'k' }, read?.rev ?? null)
      })
      await expect(stale).rejects.toMatchObject(CONFLICT)
      expect(await index.binding('other')).toBeNull()
    })

    test('on a binding that changed and changed back rejects CONFLICT', async () => {
      const { index } = current()
      await commit(current(), (tx) => index.bind(tx, 'k', idOf('a')))
      const read = await index.binding('k')
      await commit(current(), (tx) => index.bind(tx, 'k', idOf('b')))
      await commit(current(), (tx) => index.bind(tx, 'k', idOf('a')))
      const stale = commit(current(), (tx) => index.expect(tx, { key: 'k' }, read?.rev ?? null))
      await expect(stale).rejects.toMatchObject(CONFLICT)
    })

    test('on a row that is as it was read passes', async () => {
      const { index } = current()
      await commit(current(), (tx) => {
        index.keep(tx, factsOf('a'))
        index.bind(tx, 'k', idOf('a'))
        index.locate(tx, { backend: 'b', key: 'k', id: idOf('a'), state: 'pending' })
      })
      const [binding, known, location] = await Promise.all([
        index.binding('k'),
        index.known(idOf('a')),
        index.location({ backend: 'b', key: 'k' }),
      ])
      const fresh = commit(current(), (tx) => {
        index.expect(tx, { key: 'k' }, binding?.rev ?? null)
        index.expect(tx, { id: idOf('a') }, known?.rev ?? null)
        index.expect(tx, { place: { backend: 'b', key: 'k' } }, location?.rev ?? null)
      })
      await expect(fresh).resolves.toMatchObject({ seq: expect.any(Number) })
    })

    test('on the absence of a row passes while it is absent and rejects CONFLICT once it is there', async () => {
      const { index } = current()
      const absent = [{ key: 'k' }, { id: idOf('a') }, { place: { backend: 'b', key: 'k' } }]
      const bindIfAbsent = () =>
        commit(current(), (tx) => {
          for (const what of absent) index.expect(tx, what, null)
          index.bind(tx, 'k', idOf('a'))
        })
      await bindIfAbsent()
      await expect(bindIfAbsent()).rejects.toMatchObject(CONFLICT)
    })

    test.for(['the binding', 'the facts', 'a place'])('on %s that was removed rejects CONFLICT', async (what) => {
      const { index } = current()
      const place = { backend: 'b', key: 'k' }
      await commit(current(), (tx) => {
        index.keep(tx, factsOf('a'))
        index.bind(tx, 'k', idOf('a'))
        index.locate(tx, { ...place, id: idOf('a'), state: 'pending' })
      })
      const [binding, known, location] = [
        await index.binding('k'),
        await index.known(idOf('a')),
        await index.location(place),
      ]
      await commit(current(), (tx) => {
        if (what === 'the binding') index.unbind(tx, 'k')
        else if (what === 'the facts') index.forget(tx, idOf('a'))
        else index.unlocate(tx, place)
      })
      const stale = commit(current(), (tx) => {
        if (what === 'the binding') index.expect(tx, { key: 'k' }, binding?.rev ?? null)
        else if (what === 'the facts') index.expect(tx, { id: idOf('a') }, known?.rev ?? null)
        else index.expect(tx, { place }, location?.rev ?? null)
      })
      await expect(stale).rejects.toMatchObject(CONFLICT)
    })

    test('that several hold at the same moment lets the first pass, and fails no bystander', async () => {
      const { index } = current()
      const bindIfAbsent = (text: string) =>
        commit(current(), (tx) => {
          index.expect(tx, { key: 'k' }, null)
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
      expect(await index.binding('k')).toMatchObject({ id: idOf('first') })
      expect(await index.binding('bystander 2')).not.toBeNull()
    })

    test('read, write and retry by many at once loses no update', async () => {
      const { index } = current()
      await commit(current(), (tx) => index.keep(tx, factsOf('a', { custom: { n: 0 } })))
      const increment = async (): Promise<void> => {
        const known = await index.known(idOf('a'))
        if (!known) throw new Error('gone')
        const custom = { n: (known.facts.custom.n as number) + 1 }
        try {
          await commit(current(), (tx) => {
            index.expect(tx, { id: idOf('a') }, known.rev)
            index.keep(tx, { ...known.facts, custom })
          })
        } catch (error) {
          expect(error).toMatchObject(CONFLICT)
          return increment()
        }
      }
      await Promise.all(Array.from({ length: 20 }, increment))
      expect((await index.known(idOf('a')))?.facts.custom).toEqual({ n: 20 })
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
      const { index, ledger } = current()
      const failing = commit(current(), (tx) => {
        ledger.record(tx, eventOf('k'))
        index.expect(tx, { key: 'unbound' }, 'x' as never)
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
