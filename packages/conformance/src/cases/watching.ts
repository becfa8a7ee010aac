import type { WatchEvent } from '@stored/core/backend'
import { absent, all, type Ctx, capability, defineCases, hook } from '../case.ts'
import { check, equal, eventually, rejects, started, within } from '../expect.ts'
import { halved } from '../source.ts'
import { keepsNothingOpen } from './listing.ts'

/** How soon a change has to show. */
const EVENT_MS = 5_000
const SOON_MS = 1_000
const BURST = 1_000

export const watching = defineCases('wa', {
  put: {
    title: 'a put is watched as one put event',
    why: 'What is not seen is not copied until the next scan.',
    needs: capability('watch'),
    proves: ['watch'],
    async run(t) {
      const events = await watched(t, () => t.store.put(t.key('blob'), t.bytes(10)))
      equal(events, [{ type: 'put', key: t.key('blob') }], 'the events')
    },
  },
  over: {
    title: 'an overwrite is watched as one put event',
    why: 'A replaced file is a deletion and a creation to the system: two copies of one change.',
    needs: capability('watch'),
    async run(t) {
      await t.store.put(t.key('blob'), t.bytes(10, 1))
      const events = await watched(t, () => t.store.put(t.key('blob'), t.bytes(10, 2)))
      equal(events, [{ type: 'put', key: t.key('blob') }], 'the events')
    },
  },
  delete: {
    title: 'a delete is watched as one delete event',
    why: 'What is not seen is still offered to readers.',
    needs: capability('watch'),
    async run(t) {
      await t.store.put(t.key('blob'), t.bytes(10))
      const events = await watched(t, () => t.store.delete(t.key('blob')))
      equal(events, [{ type: 'delete', key: t.key('blob') }], 'the events')
    },
  },
  outsider: {
    title: 'a blob that someone else writes is watched once it is whole',
    why: 'Whoever is told of it too early copies half of it.',
    needs: all(capability('watch'), hook('outsider')),
    async run(t) {
      const bytes = t.bytes(1 << 20)
      await whileWatching(t, t.scope, async (iterator) => {
        await t.harness.outsider?.write(t.key('blob'), bytes)
        for (;;) {
          const event = await nextEvent(iterator)
          if (event.type === 'overflow' || event.key === t.key('blob')) break
        }
        await t.holds(t.key('blob'), bytes)
      })
    },
  },
  'no-temp': {
    title: 'a put that is aborted is not watched, nor is anything it made on its way',
    why: 'Half a blob under a name that nobody gave is copied to every other place.',
    needs: capability('watch'),
    async run(t) {
      const events = await watched(t, async () => {
        const abort = new AbortController()
        const source = halved(t.bytes(1 << 20))
        const put = started(t.store.put(t.key('blob'), source, { size: source.size, signal: abort.signal }))
        await source.reachedBy(put)
        abort.abort(new Error('stop'))
        await rejects(put, 'ABORTED', 'put')
      })
      equal(events, [], 'the events')
    },
  },
  prefix: {
    title: 'a watch with a prefix yields only keys that start with it',
    why: 'Someone who shares a bucket is told of what is not his.',
    needs: capability('watch'),
    async run(t) {
      await whileWatching(t, t.key('in/'), async (iterator) => {
        for (const name of ['out/a', 'in', 'inn/b', 'in/c']) await t.store.put(t.key(name), t.bytes(10))
        equal(await nextEvent(iterator), { type: 'put', key: t.key('in/c') }, 'the event')
      })
    },
  },
  burst: {
    title: `${BURST} puts that nobody listens to meanwhile are all watched, or there is an overflow`,
    why: 'What is dropped without a word is never looked for.',
    needs: capability('watch'),
    timeoutMs: 120_000,
    async run(t) {
      const names = Array.from({ length: BURST }, (_, i) => `burst${i}`)
      const events = await watched(t, async () => {
        for (let at = 0; at < BURST; at += 20)
          await Promise.all(names.slice(at, at + 20).map((name) => t.store.put(t.key(name), t.bytes(1))))
      })
      if (events.some(({ type }) => type === 'overflow')) return
      const seen = new Set(events.flatMap((event) => (event.type === 'put' ? [event.key] : [])))
      equal(names.filter((name) => !seen.has(t.key(name))).length, 0, 'the number of puts that were not seen')
    },
  },
  ready: {
    title: 'a put made once the first event was asked for is seen, or there is an overflow',
    why: 'Between a scan and a watch that begins a little later, changes are lost.',
    needs: capability('watch'),
    async run(t) {
      const abort = new AbortController()
      const iterator = t.guard.watch({ prefix: t.scope, signal: abort.signal })
      try {
        const first = started(nextEvent(iterator))
        await t.store.put(t.key('blob'), t.bytes(10))
        const event = await first
        if (event.type !== 'overflow') equal(event, { type: 'put', key: t.key('blob') }, 'the event')
      } finally {
        abort.abort()
        await iterator.return?.()
      }
    },
  },
  abort: {
    title: 'a watch that is aborted rejects with ABORTED within a second, and frees what it held',
    why: 'It waits for ever by nature: it is always ended this way.',
    needs: capability('watch'),
    async run(t) {
      await keepsNothingOpen(async () => {
        const abort = new AbortController()
        const iterator = t.guard.watch({ prefix: t.scope, signal: abort.signal })
        await arm(t, iterator, t.scope)
        const next = started(iterator.next())
        abort.abort(new Error('stop'))
        await within(rejects(next, 'ABORTED', 'the watch'), SOON_MS, 'the watch after its abort')
      })
    },
  },
  undeclared: {
    title: 'a watch that is not declared rejects with UNSUPPORTED',
    why: 'A watch that never yields looks like a place where nothing happens.',
    needs: absent('watch'),
    async run(t) {
      await rejects(t.guard.watch({ prefix: t.scope }).next(), 'UNSUPPORTED', 'watch')
      t.refused('watch')
    },
  },
})

/** The events that `change` makes, up to those of a blob put after it. */
function watched(t: Ctx, change: () => Promise<unknown>): Promise<WatchEvent[]> {
  return whileWatching(t, t.scope, async (iterator) => {
    await change()
    return eventsUntil(t, iterator, 'end')
  })
}

async function whileWatching<T>(
  t: Ctx,
  prefix: string,
  body: (iterator: AsyncIterator<WatchEvent>) => Promise<T>,
): Promise<T> {
  const abort = new AbortController()
  const iterator = t.guard.watch({ prefix, signal: abort.signal })
  try {
    await arm(t, iterator, prefix)
    return await body(iterator)
  } finally {
    abort.abort()
    await iterator.return?.()
  }
}

async function nextEvent(iterator: AsyncIterator<WatchEvent>): Promise<WatchEvent> {
  const { done, value } = await within(iterator.next(), EVENT_MS, 'the next event')
  check(!done, 'a watch does not end by itself')
  return value
}

/** Puts a blob again and again until it is seen: nothing else tells when a watch has begun. */
async function arm(t: Ctx, iterator: AsyncIterator<WatchEvent>, prefix: string): Promise<void> {
  let seen = false
  const first = iterator.next().finally(() => {
    seen = true
  })
  // Whether it failed is asked below.
  first.catch(() => {})
  const putAndLook = async () => {
    await t.store.put(`${prefix}ready`, t.bytes(1))
    return seen
  }
  await eventually(putAndLook, EVENT_MS, 'the watch begins')
  await first
  await eventsUntil(t, iterator, 'begin', prefix)
}

async function eventsUntil(
  t: Ctx,
  iterator: AsyncIterator<WatchEvent>,
  marker: string,
  prefix = t.scope,
): Promise<WatchEvent[]> {
  await t.store.put(prefix + marker, t.bytes(1))
  const events: WatchEvent[] = []
  for (;;) {
    const event = await nextEvent(iterator)
    if (event.type !== 'overflow' && event.key === prefix + marker) return events
    events.push(event)
  }
}
