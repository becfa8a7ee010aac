import type { Rule } from './rule.ts'

const TYPES: ReadonlySet<string> = new Set(['put', 'delete', 'sync:complete', 'sync:error'])

export const eventRules: readonly Rule[] = [
  {
    name: 'the number of events is what is there',
    why: 'it decides when old events are dropped: too early, or never',
    *check({ events, eventCount }) {
      if (events.length !== eventCount) yield `${eventCount}, and there are ${events.length}`
    },
  },
  {
    name: 'positions rise, up to the last commit',
    why: 'a consumer goes on behind the one that it saw last',
    *check({ events, last }) {
      let former = 0
      for (const { position } of events) {
        if (position <= former) yield `${position} comes behind ${former}`
        if (last !== undefined && position > last) yield `${position} is behind the last commit, ${last}`
        former = position
      }
    },
  },
  {
    name: 'what was dropped is older than what is kept',
    why: 'it tells a consumer that was away whether it missed something',
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
