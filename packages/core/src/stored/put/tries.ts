import { StorageError } from '../../backend/error.ts'
import type { Location, Place } from '../../model/copy.ts'
import type { Transaction } from '../../ports/ledger.ts'
import type { Queue } from '../../ports/queue.ts'
import type { Begun } from './plan-put.ts'

/** What is known of the tries at some places, and the guard that it still is so when something is decided by it. */
export interface Tries {
  readonly begun: Begun
  expect(tx: Transaction): void
}

/** Asks only for places that nothing is confirmed to lie at: elsewhere the answer decides nothing. */
export async function readTries(queue: Queue, locations: readonly Location[]): Promise<Tries> {
  const asked = locations.filter(({ id, state, holds }) => state !== 'deleting' && holds?.id !== id)
  const answers = new Map<string, boolean>()
  for (const place of asked) answers.set(nameOf(place), await queue.ledger.look((view) => queue.begun(view, place)))
  return {
    begun: (place) => answers.get(nameOf(place)) ?? false,
    expect(tx) {
      for (const place of asked) expectBegun(queue, tx, place, answers.get(nameOf(place)) as boolean)
    },
  }
}

/** Guard: `begun` still answers this. */
export function expectBegun(queue: Queue, tx: Transaction, place: Place, begun: boolean): void {
  if (queue.begun(tx, place) !== begun)
    throw new StorageError('CONFLICT', { op: 'commit' }, { detail: 'a try was begun' })
}

function nameOf({ backend, key }: Place): string {
  return `${backend}\0${key}`
}
