import { getEventListeners } from 'node:events'
import { defineCases } from '../case.ts'
import {
  check,
  checkCode,
  equal,
  eventually,
  nextTurn,
  rejects,
  sameBytes,
  settle,
  started,
  within,
} from '../expect.ts'
import { chunksOf, HeldSource, halved } from '../source.ts'
import { keepsNothingOpen } from './listing.ts'

const LARGE = 4 << 20
const SOON_MS = 1_000
const STOPS = 'A program that is told to stop either waits for this call or abandons it with everything it holds.'
const DEBRIS_MS = 5_000

export const aborts = defineCases('ab', {
  pre: {
    title: 'every operation with a signal already aborted rejects with ABORTED and does not reach the driver',
    why: STOPS,
    async run(t) {
      const { guard, calls } = await t.spied()
      const signal = AbortSignal.abort(new Error('never mind'))
      const source = new HeldSource([t.bytes(10)], Number.POSITIVE_INFINITY)
      const key = t.key('blob')
      await rejects(guard.put(key, source, { size: source.size, signal }), 'ABORTED', 'put')
      await rejects(guard.get(key, { signal }), 'ABORTED', 'get')
      await rejects(guard.stat(key, { signal }), 'ABORTED', 'stat')
      await rejects(guard.has(key, { signal }), 'ABORTED', 'has')
      await rejects(guard.delete(key, { signal }), 'ABORTED', 'delete')
      await rejects(guard.list({ prefix: t.scope, signal }).next(), 'ABORTED', 'list')
      await rejects(guard.copy(key, t.key('copy'), { signal }), 'ABORTED', 'copy')
      equal(source.pulls, 0, 'the number of chunks read')
      equal(
        calls.map(({ method }) => method),
        [],
        'the calls that reached the driver',
      )
    },
  },
  start: {
    title: 'put aborted before its first chunk rejects with ABORTED and stores nothing',
    why: STOPS,
    async run(t) {
      const abort = new AbortController()
      const source = new HeldSource([t.bytes(10)], 0)
      const put = started(t.store.put(t.key('blob'), source, { size: source.size, signal: abort.signal }))
      await source.reachedBy(put)
      abort.abort(new Error('stop'))
      await rejects(within(put, SOON_MS, 'put after the abort'), 'ABORTED', 'put')
      source.release()
      await t.lacks(t.key('blob'))
    },
  },
  mid: {
    title: 'put aborted after its first part rejects with ABORTED, stores nothing and leaves no debris',
    why: 'Parts that are left behind are billed until someone removes them.',
    async run(t) {
      const abort = new AbortController()
      const part = t.capabilities.limits?.partSize ?? LARGE
      const chunks = chunksOf(t.bytes(part + (1 << 20)), 256 << 10)
      const source = new HeldSource(chunks, chunks.length)
      const put = started(t.store.put(t.key('blob'), source, { size: source.size, signal: abort.signal }))
      await source.reachedBy(put)
      abort.abort(new Error('stop'))
      await rejects(within(put, DEBRIS_MS, 'put after the abort'), 'ABORTED', 'put')
      await t.lacks(t.key('blob'))
      await eventually(async () => (await t.debris()).length === 0, DEBRIS_MS, 'the debris is gone')
    },
  },
  over: {
    title: 'an overwrite aborted half-way leaves the former blob',
    why: 'The copy that was there may be the only one.',
    async run(t) {
      await t.store.put(t.key('blob'), t.bytes(1_000, 1))
      const abort = new AbortController()
      const source = halved(t.bytes(LARGE, 2))
      const put = started(t.store.put(t.key('blob'), source, { size: source.size, signal: abort.signal }))
      await source.reachedBy(put)
      abort.abort(new Error('stop'))
      await rejects(put, 'ABORTED', 'the overwrite')
      await t.holds(t.key('blob'), t.bytes(1_000, 1))
    },
  },
  commit: {
    title: 'put aborted in its last step has stored the blob, or rejects with ABORTED and has not, or says ambiguous',
    why: 'If a put rejects but has stored the blob, the next one with ifAbsent fails on its own bytes.',
    async run(t) {
      for (let turns = 0; turns < 12; turns++) {
        const key = t.key(`blob${turns}`)
        const abort = new AbortController()
        const source = new HeldSource([t.bytes(50_000)], 1)
        const put = started(t.store.put(key, source, { size: source.size, signal: abort.signal }))
        await source.reachedBy(put)
        source.release()
        for (let turn = 0; turn < turns; turn++) await nextTurn()
        abort.abort(new Error('stop'))
        const outcome = await settle(put)
        if (outcome.status === 'fulfilled') await t.holds(key, t.bytes(50_000))
        else if (!checkCode(outcome.reason, ['ABORTED'], 'put aborted in its last step').ambiguous) await t.lacks(key)
      }
    },
  },
  'put-idle': {
    title: 'put whose source never yields rejects within a second of the abort, and releases the source',
    why: 'A stalled source is the reason for the abort: waiting for its next chunk waits forever.',
    async run(t) {
      const abort = new AbortController()
      const source = new HeldSource([t.bytes(10), t.bytes(10)], 1)
      const put = started(t.store.put(t.key('blob'), source, { size: source.size, signal: abort.signal }))
      await source.reachedBy(put)
      abort.abort(new Error('stop'))
      await rejects(within(put, SOON_MS, 'put of a source that never yields'), 'ABORTED', 'put')
      await eventually(() => source.returns === 1, SOON_MS, 'the source is released')
      await t.lacks(t.key('blob'))
    },
  },
  get: {
    title: 'a body aborted half-way throws ABORTED within a second',
    why: STOPS,
    async run(t) {
      await t.store.put(t.key('blob'), t.bytes(LARGE))
      const abort = new AbortController()
      const { body } = await t.store.get(t.key('blob'), { signal: abort.signal })
      const read = async () => {
        for await (const _ of body) abort.abort(new Error('stop'))
      }
      await within(rejects(read(), 'ABORTED', 'the body'), SOON_MS, 'the aborted body')
    },
  },
  'get-break': {
    title: 'a body abandoned after its first chunk frees what it held',
    why: 'A file or connection left open by each look at a blob ends in EMFILE.',
    async run(t) {
      await t.store.put(t.key('blob'), t.bytes(LARGE))
      await keepsNothingOpen(async () => {
        for await (const _ of (await t.store.get(t.key('blob'))).body) break
      })
    },
  },
  stat: {
    title: 'stat aborted right after its call settles within a second: with ABORTED, or with its answer',
    why: STOPS,
    async run(t) {
      await t.store.put(t.key('blob'), t.bytes(10))
      const abort = new AbortController()
      const stat = settle(t.store.stat(t.key('blob'), { signal: abort.signal }))
      abort.abort(new Error('stop'))
      const outcome = await within(stat, SOON_MS, 'stat after the abort')
      if (outcome.status === 'rejected') checkCode(outcome.reason, ['ABORTED'], 'stat')
      else equal(outcome.value?.size, 10, 'the size that stat gives')
    },
  },
  delete: {
    title: 'delete aborted right after its call settles within a second, and the blob is whole or gone',
    why: 'A delete cannot be half done.',
    async run(t) {
      await t.store.put(t.key('blob'), t.bytes(1_000))
      const abort = new AbortController()
      const deletion = settle(t.store.delete(t.key('blob'), { signal: abort.signal }))
      abort.abort(new Error('stop'))
      const outcome = await within(deletion, SOON_MS, 'delete after the abort')
      if (outcome.status === 'rejected') checkCode(outcome.reason, ['ABORTED'], 'delete')
      const left = await settle(t.read(t.key('blob')))
      if (left.status === 'fulfilled') sameBytes(t.seed, left.value, t.bytes(1_000), 'what is left')
      else await t.lacks(t.key('blob'))
      check(outcome.status === 'rejected' || left.status === 'rejected', 'a delete that resolved has removed the blob')
    },
  },
  reason: {
    title: 'the cause of ABORTED is the reason of the signal',
    why: 'It tells a deadline from a user who cancelled.',
    async run(t) {
      const reason = new Error('the user left')
      const abort = new AbortController()
      const source = halved(t.bytes(LARGE))
      const put = started(t.store.put(t.key('blob'), source, { size: source.size, signal: abort.signal }))
      await source.reachedBy(put)
      abort.abort(reason)
      const error = await rejects(put, 'ABORTED', 'put')
      check(error.cause === reason, 'the cause of the error is the reason of the signal')
      equal(error.name, 'AbortError', 'the name of the error')
    },
  },
  listeners: {
    title: '1,000 operations on one signal leave no listener on it',
    why: 'A signal that lives as long as its program accumulates them, with everything they reference.',
    timeoutMs: 120_000,
    async run(t) {
      const { signal } = new AbortController()
      for (let i = 0; i < 200; i++) {
        await t.store.put(t.key('blob'), t.bytes(100), { signal })
        await t.store.stat(t.key('blob'), { signal })
        for await (const _ of (await t.store.get(t.key('blob'), { signal })).body);
        for await (const _ of t.store.list({ prefix: t.scope, signal }));
        await t.store.delete(t.key('blob'), { signal })
      }
      await eventually(() => getEventListeners(signal, 'abort').length === 0, SOON_MS, 'no listener is left')
    },
  },
})
