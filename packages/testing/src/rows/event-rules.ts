import type { Rule } from './rule.ts'

const TYPES: ReadonlySet<string> = new Set(['put', 'delete', 'sync:complete', 'sync:error'])

export const eventRules: readonly Rule[] = [
  {
    name: 'the number of events is what is there',
    why: 'old events are dropped by it: all too early, or never',
    *check({ events, eventCount }) {
      if (events.length !== eventCount) yield `${eventCount}, and there are ${events.length}`
    },
  },
  {
    name: 'an event has the number of its row',
    why: 'a consumer goes on behind it',
    *check({ events, last }) {
      for (const { position, number } of events) {
        if (position !== number) yield `${position} has ${number}`
        if (last !== undefined && position > last) yield `${position} is behind the last commit, ${last}`
      }
    },
  },
  {
    name: 'what was dropped is older than what is kept',
    why: 'a consumer that was away is told by it whether it missed something',
    *check({ events, droppedEvent = 0 }) {
      const oldest = events[0]?.position
      if (oldest !== undefined && oldest <= droppedEvent) yield `${droppedEvent} was dropped, and ${oldest} is kept`
    },
  },
  {
    name: 'an event is one that consumers know',
    why: 'the log outlives the version that wrote it',
    *check({ events }) {
      for (const { position, value } of events) if (!TYPES.has(value.type)) yield `${position} is ${value.type}`
    },
  },
]
