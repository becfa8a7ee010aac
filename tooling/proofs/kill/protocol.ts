import type { Content } from './content.ts'

/** A call of the store. */
export type Call =
  | { readonly op: 'put'; readonly key: string; readonly content: Content; readonly note: string }
  | { readonly op: 'delete'; readonly key: string }

/** What the process that is to be killed writes to its parent, synchronously: what was written is not lost with it. */
export type Message =
  | { readonly type: 'open' }
  /** Before a call. */
  | { readonly type: 'intent'; readonly n: number; readonly call: Call }
  /** The source of a put was read to its end; what is left is to make it durable. */
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
  /** The field of its metadata that is named like the key, as the last put gave it. Without one any will do. */
  readonly note?: string
}

/** What each key is bound to; what is not there is not bound. */
export type Bindings = Readonly<Record<string, Bound>>

/** An event that the log must hold: of a put or a delete of one key. */
export interface Told {
  readonly op: Call['op']
  readonly key: string
  /** Of a put. */
  readonly sha256?: string
}

/** What the child is started with. */
export interface Work {
  readonly seed: string
  readonly bindings: Bindings
  /** 0: only open the store and go on syncing. */
  readonly workers: number
}

/** What the process that looks at the store afterwards is started with. */
export interface Inspection {
  /** Each key, and all that it may be bound to: after a kill both what was and what was about to be. */
  readonly allowed: Readonly<Record<string, readonly (Bound | null)[]>>
  /** SHA-256 of all that may have been stored since the last look. */
  readonly stored: readonly string[]
  readonly log?: ExpectedLog
}

/** What the log of events must hold, behind the last event that was seen. */
export interface ExpectedLog {
  readonly since: string
  /** Of each key in the order of its calls. */
  readonly told: readonly (Told & { readonly isAcknowledged: boolean })[]
}

export interface Finding {
  /** From the call of openStore() until the store was open and a first record was read. */
  readonly openMs: number
  readonly bindings: Bindings
  /** Position of the last event in the log. */
  readonly lastEvent: string
  /** Compared with what they should be: reads, objects found on disk, and events. */
  readonly checked: number
  readonly violations: readonly string[]
}
