import { type ErrorLocation, StorageError } from '../../backend/error.ts'
import type { BlobId } from '../../model/blob.ts'
import { type Location, owes } from '../../model/copy.ts'
import type { View } from '../../ports/ledger.ts'
import { isServed, objectsOf, placesOfEach, sharedFor } from '../lookup/copies.ts'
import { walk } from '../lookup/walk.ts'
import type { Services } from '../services.ts'
import { KEYS } from './give-up.ts'

type Rows = Pick<Services, 'backends' | 'index' | 'staging'>
type Test = (location: Location) => boolean

/** How often all keys of a blob are looked at because something changed since. */
const TRIES = 10

/** Copies of a blob that shall go. */
export interface Dropped {
  readonly id: BlobId
  readonly isDropped: Test
  /** How many of one backend go while others stay there. */
  readonly beside: number
  /** Keys that may lose a copy; `null`: all. */
  readonly keys: readonly string[] | null
  /** Which copies those keys count on no longer, whether they go or other keys want them. */
  readonly isLost: Test
}

/** What was found of all keys of a blob, a page at a time, holds while this stays the same. */
export type Token = string

/** A plan did nothing: it depends on more keys than it may walk, and they have to be looked at before. */
export class Unchecked {
  readonly dropped: Dropped

  constructor(dropped: Dropped) {
    this.dropped = dropped
  }
}

/**
 * Runs a plan that drops copies. Where too many keys depend on them they are looked at first, a page at a time; the plan then compares what
 * stands for all that may have changed since.
 *
 * @param attempt Given what `checkRemains` takes.
 */
export async function whenChecked<T>(
  services: Services,
  at: ErrorLocation,
  signal: AbortSignal,
  attempt: (token: Token | undefined) => Promise<T | Unchecked>,
): Promise<T> {
  let token: Token | undefined
  for (let left = TRIES; left > 0; left--) {
    const outcome = await attempt(token)
    if (!(outcome instanceof Unchecked)) return outcome
    token = await checkAllKeys(services, outcome.dropped, at, signal)
  }
  throw new StorageError('CONFLICT', at, { detail: 'the blob changed each time that all its keys had been looked at' })
}

/**
 * Whether enough is left of a blob when some of its copies go: bytes for readers, for each place that owes them, and for each key that
 * has some now. What is owed need not be staged: its bytes may have been released when a copy was verified.
 *
 * @returns `false`: all keys have to be looked at first.
 * @throws {StorageError} PRECONDITION_FAILED.
 */
export function checkRemains(rows: Rows, view: View, dropped: Dropped, at: ErrorLocation, token?: Token): boolean {
  checkBlobRemains(rows, view, dropped, at)
  const { id, isLost } = dropped
  const isBacking = backingOf(rows, view, id)
  const staying = rows.index.shared(view, id).filter((one) => !isLost(one) && isBacking(one))
  if (dropped.keys === null && rows.index.keyGroups(view, id).every((group) => isServed(group, staying))) return true
  const keys = dropped.keys ?? rows.index.keys(view, id, { limit: KEYS + 1 })
  if (keys.length > KEYS) return token === tokenOf(rows, view, id)
  checkKeysRemain(rows, view, keys, dropped, at)
  return true
}

/** Bytes for readers, and for places that owe them. Those of single keys had a copy before: some are looked at, as nothing else may go. */
function checkBlobRemains(rows: Rows, view: View, { id, isDropped, beside }: Dropped, at: ErrorLocation): void {
  const left = (standing: 'owing' | 'synced') =>
    placesOfEach(rows, view, id, standing, beside + 1).filter((one) => !isDropped(one))
  const owing = left('owing')
  if (owing.length > 0 && rows.staging.has(view, id)) return
  const isCopy: Test = (one) => isReliable(rows, view)(one) && !isDropped(one)
  const shared = rows.index.shared(view, id)
  const isCovered: Test = (one) => !one.shared && objectsOf(rows, view, id, one.key).some(isCopy)
  if (
    shared.some(isCopy) ||
    (left('synced').some(isCopy) &&
      [...shared.filter((one) => owes(one) && !isDropped(one)), ...owing].every(isCovered))
  )
    return
  throw new StorageError('PRECONDITION_FAILED', at, { detail: 'no synced or staged copy would remain' })
}

/** No key loses its last copy, or the last staged bytes for one. The object of another key goes with that key. */
function checkKeysRemain(
  rows: Rows,
  view: View,
  keys: readonly string[],
  { id, isLost }: Dropped,
  at: ErrorLocation,
): void {
  const isBacking = backingOf(rows, view, id)
  const shared = rows.index.shared(view, id).filter(isBacking)
  for (const key of keys) {
    const bound = rows.index.binding(view, key)
    if (bound?.facts?.id !== id) continue
    const backing = [...sharedFor(bound, shared), ...objectsOf(rows, view, id, key).filter(isBacking)]
    if (backing.length === 0 || !backing.every(isLost)) continue
    const detail = `no synced or staged copy of key ${JSON.stringify(key)} itself would remain`
    throw new StorageError('PRECONDITION_FAILED', at, { detail })
  }
}

/** @returns `undefined`: something changed in the meantime. */
async function checkAllKeys(
  services: Services,
  dropped: Dropped,
  at: ErrorLocation,
  signal: AbortSignal,
): Promise<Token | undefined> {
  const { index, ledger } = services
  const tokens = walk(ledger, signal, (view, from) => {
    const keys = index.keys(view, dropped.id, { limit: KEYS, ...(from && { after: Buffer.from(from).toString() }) })
    checkKeysRemain(services, view, keys, dropped, at)
    const last = keys.at(-1)
    return { items: [tokenOf(services, view, dropped.id)], next: last === undefined ? null : Buffer.from(last) }
  })
  const found = new Set(await Array.fromAsync(tokens))
  return found.size === 1 ? [...found][0] : undefined
}

/** Staged bytes are released without a change of the version. */
function tokenOf({ index, staging }: Rows, view: View, id: BlobId): Token {
  return `${index.version(view, id)} ${staging.has(view, id)}`
}

/** A copy on a backend that is not configured, or is being removed, is none to rely on. */
function isReliable({ backends }: Rows, view: View): Test {
  return (one) => one.state === 'synced' && backends.isReliable(view, one.backend)
}

/** Which places have bytes behind them. */
export function backingOf(rows: Rows, view: View, id: BlobId): Test {
  const isStaged = rows.staging.has(view, id)
  const isCopy = isReliable(rows, view)
  return (one) => (isStaged && owes(one)) || isCopy(one)
}
