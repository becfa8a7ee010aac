import type { Content } from '@stored/kill/content'

/** A call of the store. A list reads all keys of one epoch. */
export type Call =
  | { readonly op: 'put'; readonly key: string; readonly content: Content; readonly on: Condition }
  | { readonly op: 'get' | 'stat' | 'delete'; readonly key: string }
  | { readonly op: 'list'; readonly keys: readonly string[] }

/**
 * What a put requires of its key: nothing, that it is free (`ifAbsent`), or what it is bound to (`ifMatch`, a SHA-256).
 */
export type Condition = 'any' | 'absent' | { readonly sha256: string }

/** The answer of a call. `value`: a SHA-256, or `null` for nothing. */
export type Answer =
  | { readonly op: 'put'; readonly done: boolean }
  | { readonly op: 'get' | 'stat'; readonly value: string | null }
  | { readonly op: 'delete'; readonly existed: boolean }
  | { readonly op: 'list'; readonly values: Readonly<Record<string, string>> }

/** What a process writes to its parent, synchronously: its messages are not lost with it. */
export type Message =
  | { readonly type: 'open' }
  /** Before a call, and after it. Times are in microseconds, on a clock that all processes of the machine share. */
  | { readonly type: 'call'; readonly n: number; readonly at: number; readonly call: Call }
  | { readonly type: 'return'; readonly n: number; readonly at: number; readonly answer: Answer }
  | { readonly type: 'failed'; readonly n: number; readonly error: string }
  /** It copies something to a backend. */
  | { readonly type: 'sync'; readonly at: number }

/** Processes that keep the store open. One more comes and goes. */
export const RESIDENTS = 4

/** Where a child writes them. */
export const MESSAGES_FD = 3

/** @see clock_gettime(2), CLOCK_MONOTONIC, which Linux counts from its boot */
export function now(): number {
  return Number(process.hrtime.bigint() / 1000n)
}
