import type { Content } from './content.ts'

/** A call of the store. */
export type Call =
  | { readonly op: 'put'; readonly key: string; readonly content: Content; readonly note: string }
  | { readonly op: 'delete'; readonly key: string }

/** What the process to be killed writes to its parent, synchronously: its messages are not lost with it. */
export type Message =
  | { readonly type: 'open' }
  /** Before a call. */
  | { readonly type: 'intent'; readonly n: number; readonly call: Call }
  /** The source of a put was read to its end; only durability is missing. */
  | { readonly type: 'read'; readonly n: number }
  /** After a call. */
  | { readonly type: 'ack'; readonly n: number; readonly id?: string }
  | { readonly type: 'failed'; readonly n: number; readonly error: string }
  | { readonly type: 'sync:start' | 'sync:end'; readonly place: string }
  | { readonly type: 'parked'; readonly place: string; readonly error: string }

/** Where a child writes them. */
export const MESSAGES_FD = 3

/** What a key is bound to. */
export interface Bound extends Content {
  /** The field of its metadata that is named like the key, as set by the last put. Any value is allowed without one. */
  readonly note?: string
}

/** What each key is bound to; missing keys are not bound. */
export type Bindings = Readonly<Record<string, Bound>>

/** An event that the log must contain: of a put or a delete of one key. */
export interface Told {
  readonly op: Call['op']
  readonly key: string
  /** Of a put. */
  readonly sha256?: string
}

/** The input of the child. */
export interface Work {
  readonly seed: string
  readonly bindings: Bindings
  /** 0: only open the store and continue syncing. */
  readonly workers: number
}

/** The input of the process that inspects the store afterwards. */
export interface Inspection {
  /** Each key, and everything it may be bound to: after a kill both the old and the intended state. */
  readonly allowed: Readonly<Record<string, readonly (Bound | null)[]>>
  /** The SHA-256 of everything that may have been stored since the last check. */
  readonly stored: readonly string[]
  readonly log?: ExpectedLog
}

/** What the log of events must contain, after the last event seen. */
export interface ExpectedLog {
  readonly since: string
  /** For each key in the order of its calls. */
  readonly told: readonly (Told & { readonly isAcknowledged: boolean })[]
}

export interface Finding {
  /** From the call of openStore() until the store was open and a first record was read. */
  readonly openMs: number
  readonly bindings: Bindings
  /** Position of the last event in the log. */
  readonly lastEvent: string
  /** Number of comparisons: reads, objects found on disk, and events. */
  readonly checked: number
  readonly violations: readonly string[]
}
