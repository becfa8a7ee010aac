import type { WatchEvent } from '@stored/core/backend'
import { absent, all, type Ctx, capability, defineCases, hook } from '../case.ts'
import { check, equal, eventually, isEqual, rejects, started, within } from '../expect.ts'
import { halved } from '../source.ts'
import { keepsNothingOpen } from './listing.ts'

/** How soon a change must show. */
const EVENT_MS = 5_000
const SOON_MS = 1_000
const BURST = 1_000
/** Names of the blobs that the kit uses as markers. */
const MARKERS = ['ready', 'begin', 'end', 'last']

export const watching = defineCases('wa', {
  put: {
    title: 'a put is watched as a put of its key, and of no other',
    why: 'An unseen change is not copied until the next scan.',
    needs: capability('watch'),
    proves: ['watch'],
    async run(t) {
      const event = { type: 'put', key: t.key('blob') } as const
      toldOnly(event, await watched(t, event, () => t.store.put(t.key('blob'), t.bytes(10))))
    },
  },
  over: {
    title: 'an overwrite is watched as a put, without a delete',
    why: 'To the system, a replaced file is a deletion and a creation: the copies of the blob would be removed.',
    needs: capability('watch'),
    async run(t) {
      await t.store.put(t.key('blob'), t.bytes(10, 1))
      const event = { type: 'put', key: t.key('blob') } as const
      toldOnly(event, await watched(t, event, () => t.store.put(t.key('blob'), t.bytes(10, 2))))
    },
  },
  delete: {
    title: 'a delete is watched as a delete',
    why: 'An unseen deletion leaves the blob on offer to readers.',
    needs: capability('watch'),
    async run(t) {
      await t.store.put(t.key('blob'), t.bytes(10))
      const event = { type: 'delete', key: t.key('blob') } as const
      toldOnly(event, await watched(t, event, () => t.store.delete(t.key('blob'))))
    },
  },
  outsider: {
    title: 'a blob that someone else writes is watched once it is whole',
    why: 'A listener that is notified too early copies half of it.',
    needs: all(capability('watch'), hook('outsider')),
    async run(t) {
      const bytes = t.bytes(1 << 20)
      await whileWatching(t, t.scope, async (iterator) => {
        await t.harness.outsider?.write(t.key('blob'), bytes)
        await eventsUntil(iterator, (events) => events.some((event) => tells(event, 'put', t.key('blob'))))
        await t.holds(t.key('blob'), bytes)
      })
    },
  },
  'no-temp': {
    title: 'a put that is aborted is not watched, nor is anything it made on its way',
    why: 'Half a blob under a name that nobody chose is copied to every other place.',
    needs: capability('watch'),
    async run(t) {
      const events = await watched(t, null, async () => {
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
    why: "A user of a shared bucket would see other users' changes.",
    needs: capability('watch'),
    async run(t) {
      await whileWatching(t, t.key('in/'), async (iterator) => {
        for (const name of ['out/a', 'in', 'inn/b', 'in/c']) await t.store.put(t.key(name), t.bytes(10))
        const events = await eventsUntil(iterator, (soFar) => soFar.some((event) => tells(event, 'put', t.key('in/c'))))
        for (const event of events)
          check(
            event.type === 'overflow' || event.key.startsWith(t.key('in/')),
            `every event is of the prefix, but one is ${JSON.stringify(event)}`,
          )
      })
    },
  },
  burst: {
    title: `${BURST} puts while nothing is reading are all watched, or there is an overflow`,
    why: 'What is dropped silently is never looked for.',
    needs: capability('watch'),
    timeoutMs: 120_000,
    async run(t) {
      const keys = Array.from({ length: BURST }, (_, i) => t.key(`burst${i}`))
      await whileWatching(t, t.scope, async (iterator) => {
        for (let at = 0; at < BURST; at += 20)
          await Promise.all(keys.slice(at, at + 20).map((key) => t.store.put(key, t.bytes(1))))
        const unseen = new Set(keys)
        await eventsUntil(iterator, (_, event) => {
          if (event.type === 'put') unseen.delete(event.key)
          return event.type === 'overflow' || unseen.size === 0
        })
      })
    },
  },
  ready: {
    title: 'a put made once the first event was asked for is seen, or there is an overflow',
    why: 'Between a scan and a watch that starts a little later, changes are lost.',
    needs: capability('watch'),
    async run(t) {
      const abort = new AbortController()
      const iterator = t.guard.watch({ prefix: t.scope, signal: abort.signal })
      try {
        const first = started(nextEvent(iterator))
        await t.store.put(t.key('blob'), t.bytes(10))
        const event = await first
        check(
          event.type === 'overflow' || tells(event, 'put', t.key('blob')),
          `the event is of the put, but it is ${JSON.stringify(event)}`,
        )
      } finally {
        abort.abort()
        await iterator.return?.()
      }
    },
  },
  abort: {
    title: 'a watch that is aborted rejects with ABORTED within a second, and frees what it held',
    why: 'By nature it waits forever: it is always ended this way.',
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
    why: 'A watch that never yields looks like a place without changes.',
    needs: absent('watch'),
    async run(t) {
      await rejects(t.guard.watch({ prefix: t.scope }).next(), 'UNSUPPORTED', 'watch')
      t.refused('watch')
    },
  },
})

/**
 * The events for keys other than the kit's own markers: from `change` on, until `expected` arrived, and until two blobs
 * put after it are seen. A watch keeps no order between keys, and may report a change twice: it is a hint, and a scan
 * is the truth.
 */
function watched(t: Ctx, expected: WatchEvent | null, change: () => Promise<unknown>): Promise<WatchEvent[]> {
  return whileWatching(t, t.scope, async (iterator) => {
    await change()
    const hasCome = (events: readonly WatchEvent[]) =>
      expected?.type !== 'put' && expected?.type !== 'delete'
        ? true
        : events.some((event) => event.type === 'overflow' || tells(event, expected.type, expected.key))
    const events = await eventsAround(t, iterator, 'end', hasCome)
    return [...events, ...(await eventsAround(t, iterator, 'last'))].filter((event) => !isMarker(t, event))
  })
}

/** Expects only this event, and this one last. */
function toldOnly(expected: WatchEvent, events: readonly WatchEvent[]): void {
  const former = expected.type === 'delete' ? { ...expected, type: 'put' } : expected
  equal(events.at(-1), expected, 'the last event')
  for (const event of events)
    check(
      [expected, former].some((allowed) => isEqual(allowed, event)),
      `the events are ${JSON.stringify(expected)}, but there is ${JSON.stringify(event)} too`,
    )
}

function tells(event: WatchEvent, type: WatchEvent['type'], key: string): boolean {
  return event.type !== 'overflow' && event.type === type && event.key === key
}

function isMarker(t: Ctx, event: WatchEvent): boolean {
  return event.type !== 'overflow' && MARKERS.some((name) => event.key === t.key(name))
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

/** Puts a blob repeatedly until it is seen: nothing else tells when a watch has started. */
async function arm(t: Ctx, iterator: AsyncIterator<WatchEvent>, prefix: string): Promise<void> {
  let seen = false
  const first = iterator.next().finally(() => {
    seen = true
  })
  // Its failure is checked below.
  first.catch(() => {})
  const putAndLook = async () => {
    await t.store.put(`${prefix}ready`, t.bytes(1))
    return seen
  }
  await eventually(putAndLook, EVENT_MS, 'the watch begins')
  await first
  await eventsAround(t, iterator, 'begin', () => true, prefix)
}

/** Puts a marker; yields the events until that is seen, and until `isEnough` of them. */
async function eventsAround(
  t: Ctx,
  iterator: AsyncIterator<WatchEvent>,
  marker: string,
  isEnough: (events: readonly WatchEvent[]) => boolean = () => true,
  prefix = t.scope,
): Promise<WatchEvent[]> {
  await t.store.put(prefix + marker, t.bytes(1))
  let reached = false
  return eventsUntil(iterator, (events, event) => {
    reached ||= event.type === 'overflow' || event.key === prefix + marker
    return reached && isEnough(events)
  })
}

async function eventsUntil(
  iterator: AsyncIterator<WatchEvent>,
  isEnough: (events: readonly WatchEvent[], event: WatchEvent) => boolean,
): Promise<WatchEvent[]> {
  const events: WatchEvent[] = []
  for (;;) {
    const event = await nextEvent(iterator, events)
    events.push(event)
    if (isEnough(events, event)) return events
  }
}

async function nextEvent(iterator: AsyncIterator<WatchEvent>, before: readonly WatchEvent[] = []): Promise<WatchEvent> {
  const latest = before.length === 0 ? 'which would be the first' : `after ${JSON.stringify(before.at(-1))}`
  const { done, value } = await within(iterator.next(), EVENT_MS, `the next event, ${latest},`)
  check(!done, 'a watch does not end by itself')
  return value
}
