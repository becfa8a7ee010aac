import { type Address, overlapOf } from './address.ts'
import { type ErrorLocation, StorageError } from './error.ts'
import { RESERVED_PREFIX } from './keys.ts'

/** A backend, and the address of its medium. */
export interface Addressed {
  readonly name: string
  readonly address: Address | undefined
}

/**
 * Refuses a backend whose medium equals, contains or lies inside another backend's: one file would count as two copies,
 * and dropping one would remove both.
 *
 * @throws {StorageError} MISCONFIGURED, naming both.
 */
export function checkApart({ name, address }: Addressed, others: Iterable<Addressed>, at: ErrorLocation): void {
  for (const other of others) {
    const overlap = overlapOf(address, other.address)
    if (overlap !== null) throw oneMedium(name, other.name, HOW[overlap], at)
  }
}

/** A directory of the store itself, on this machine. */
export interface OwnPlace {
  /** What it is, for people: `the directory of the store`. */
  readonly what: string
  readonly address: Address
  /** Whether it may be the `.stored` of a root: no key leads there, and drivers ignore unknown files there. */
  readonly mayBeReserved?: boolean
}

/**
 * Refuses a backend whose medium equals, contains or lies inside a directory of the store: the store's files would be
 * listed as blobs and overwritten, or blobs would be swept with them.
 *
 * @throws {StorageError} MISCONFIGURED, naming both.
 */
export function checkOutside({ name, address }: Addressed, own: readonly OwnPlace[], at: ErrorLocation): void {
  for (const place of own) {
    if (overlapOf(place.address, address) === null) continue
    if (place.mayBeReserved && place.address.path === `${address?.path}${RESERVED_PREFIX}`) continue
    const both = `backend ${JSON.stringify(name)} and ${place.what}, ${place.address.path}, lie one in the other`
    throw new StorageError('MISCONFIGURED', at, { detail: `${both}; move one of them out` })
  }
}

/** The error for two backends that turn out to be one medium when opened. */
export function sameMark(name: string, other: string): StorageError {
  const hint = 'if it was copied from there, remove the .stored/root of the copy and open the store again'
  return oneMedium(name, other, 'carries the same mark as', { op: 'open', backend: name }, hint)
}

const HOW = { same: 'is the same place as', inside: 'lies inside', around: 'holds the place of' } as const

function oneMedium(name: string, other: string, how: string, at: ErrorLocation, hint?: string): StorageError {
  const what = `backend ${JSON.stringify(name)} ${how} backend ${JSON.stringify(other)}`
  const detail = `${what}: one file would count as two copies${hint === undefined ? '' : `; ${hint}`}`
  return new StorageError('MISCONFIGURED', at, { detail })
}
