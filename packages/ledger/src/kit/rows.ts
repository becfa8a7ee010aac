import type { DurableEvent, Transaction, View } from '@stored/core'
import { type Piece, readerOf, type TreeLedger, writerOf } from '../ledger.ts'
import { decodeNumbers } from '../numbers.ts'

export const TREE = 'keys'
export const COUNTS = 'counts'
export const COUNTER = Buffer.from('counter')
export const bytes = (text: string): Buffer => Buffer.from(text)

export const put = (tx: Transaction, key: string, value: string): void =>
  writerOf(tx).put(TREE, bytes(key), bytes(value))
export const remove = (tx: Transaction, key: string): void => writerOf(tx).remove(TREE, bytes(key))
export const get = (view: View, key: string): string | undefined => readerOf(view).get(TREE, bytes(key), String)
export const rows = (view: View, { from = '', to = '\xff', limit = 500 } = {}): string[] =>
  readerOf(view)
    .range(TREE, { from: bytes(from), to: bytes(to), limit })
    .map(([key, value]) => `${key}=${value}`)
export const counter = (view: View): number[] | undefined => readerOf(view).get(COUNTS, COUNTER, decodeNumbers)
export const all = (ledger: TreeLedger): Promise<string[]> => ledger.look((view) => rows(view))
export const count = (ledger: TreeLedger, ...deltas: number[]): Promise<unknown> =>
  ledger.transact((tx) => writerOf(tx).add(COUNTS, COUNTER, deltas))

export const record = (tx: Transaction, key: string): void => writerOf(tx).record(eventOf(key))

export function eventOf(key: string): DurableEvent {
  return { type: 'put', checksum: `sha256:${'0'.repeat(64)}`, key, size: 1, isNew: true, time: 0 }
}

/** What the log holds behind `since`. */
export async function recorded(
  ledger: TreeLedger,
  since: string | number = 0,
): Promise<{ key: string; position: string }[]> {
  const pages = await Array.fromAsync(ledger.events({ since, signal: new AbortController().signal }))
  return pages.flat().map((event) => ({ key: 'key' in event ? event.key : '', position: event.position }))
}

/** Increments a number that is a row. */
export function increment(tx: Transaction, key: string): void {
  put(tx, key, String(Number(get(tx, key) ?? 0) + 1))
}

/** Takes the first place of a range that is empty. @returns Whether it was. */
export function takeFirst(tx: Transaction, range: string, name: string): boolean {
  const isFirst = rows(tx, { from: `${range}/`, to: `${range}0`, limit: 1 }).length === 0
  if (isFirst) put(tx, `${range}/${name}`, '')
  return isFirst
}

/** Claims a job that waits, as hints name them. */
export function claim(tx: Transaction): string | undefined {
  const named = writerOf(tx).hint(TREE, { from: bytes('job/'), to: bytes('job0') })
  const key = named.map(([one]) => String(one)).find((one) => get(tx, one) === 'waiting')
  if (key !== undefined) put(tx, key, 'running')
  return key
}

/** Appends bytes that are told apart by `name`, and keeps their place in a row. */
export function append(tx: Transaction, name: string, size: number): Piece {
  const piece = writerOf(tx).append(bytes(name), filled(name, size))
  put(tx, `place/${name}`, JSON.stringify(piece))
  return piece
}

export function placeOf(view: View, name: string): Piece | undefined {
  const found = get(view, `place/${name}`)
  return found === undefined ? undefined : (JSON.parse(found) as Piece)
}

/** The bytes appended under a name, as the row of their place says. */
export function appended(view: View, name: string): string | undefined {
  const place = placeOf(view, name)
  return place && readerOf(view).piece(place, String)
}

export function discard(tx: Transaction, name: string): void {
  const place = placeOf(tx, name)
  if (place) writerOf(tx).discard(place)
  remove(tx, `place/${name}`)
}

export function filled(name: string, size: number): Buffer {
  return Buffer.alloc(size, name)
}
