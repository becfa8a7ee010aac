import { type Address, overlapOf } from './address.ts'
import { type ErrorLocation, StorageError } from './error.ts'

/** A backend, and where it says that its medium is. */
export interface Addressed {
  readonly name: string
  readonly address: Address | undefined
}

/**
 * Refuses a backend whose medium another one has, or lies in, or holds: one file would count as two copies, and to drop one of
 * them would remove both.
 *
 * @throws {StorageError} MISCONFIGURED, naming both.
 */
export function checkApart({ name, address }: Addressed, others: Iterable<Addressed>, at: ErrorLocation): void {
  for (const other of others) {
    const overlap = overlapOf(address, other.address)
    if (overlap !== null) throw oneMedium(name, other.name, HOW[overlap], at)
  }
}

/** The error for two backends that turned out to be one medium when they were opened. */
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
