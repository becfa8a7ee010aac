import type { WatchEvent } from '@stored/core/backend'
import { type Ctx, capability, defineCases } from '../case.ts'
import { equal, eventually, within } from '../expect.ts'

/** How soon a change has to show. */
const EVENT_MS = 5_000

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
})

/** The events that `change` makes, up to those of a blob put after it. */
async function watched(t: Ctx, change: () => Promise<unknown>): Promise<WatchEvent[]> {
  const abort = new AbortController()
  const iterator = t.guard.watch({ prefix: t.scope, signal: abort.signal })
  try {
    await arm(t, iterator)
    await change()
    return await eventsUntil(t, iterator, 'end')
  } finally {
    abort.abort()
    await iterator.return?.()
  }
}

/** Puts a blob again and again until it is seen: nothing else tells when a watch has begun. */
async function arm(t: Ctx, iterator: AsyncIterator<WatchEvent>): Promise<void> {
  let seen = false
  const first = iterator.next().finally(() => {
    seen = true
  })
  // Whether it failed is asked below.
  first.catch(() => {})
  const putAndLook = async () => {
    await t.store.put(t.key('ready'), t.bytes(1))
    return seen
  }
  await eventually(putAndLook, EVENT_MS, 'the watch begins')
  await first
  await eventsUntil(t, iterator, 'begin')
}

async function eventsUntil(t: Ctx, iterator: AsyncIterator<WatchEvent>, marker: string): Promise<WatchEvent[]> {
  await t.store.put(t.key(marker), t.bytes(1))
  const events: WatchEvent[] = []
  for (;;) {
    const { done, value } = await within(iterator.next(), EVENT_MS, 'the next event')
    if (done || (value.type !== 'overflow' && value.key === t.key(marker))) return events
    events.push(value)
  }
}
