import { StorageError } from '../../backend/error.ts'
import { checkOptions } from '../../backend/options.ts'
import { is, needed, type RulesOf } from '../../backend/rules.ts'
import { type Location, owes, type Place } from '../../model/copy.ts'
import type { Transaction, View } from '../../ports/ledger.ts'
import { checkBackendName, checkStoreKey } from '../lookup/names.ts'
import type { Services } from '../services.ts'
import type { ForgetOptions, ForgottenCopy } from '../types.ts'
import { among } from './drop.ts'
import { touch, vacate } from './give-up.ts'
import { checkRemains, type Token, Unchecked, whenChecked } from './remaining.ts'

const PLACE: RulesOf<Place> = {
  backend: needed(is.text),
  // What a key may be is told with INVALID_KEY.
  key: { expected: 'a key', holds: () => true },
}

export const FORGET_OPTIONS: RulesOf<ForgetOptions> = { dryRun: is.boolean }

/** Gives up a copy, or its removal, and leaves what lies there. */
export async function forget(
  services: Services,
  place: Place,
  options: ForgetOptions,
  signal: AbortSignal,
): Promise<ForgottenCopy> {
  const { backend, key } = checkOptions(place, PLACE, { op: 'forget' })
  checkBackendName(backend, { op: 'forget' })
  checkStoreKey(key, { op: 'forget' })
  const at = { op: 'forget', backend, key }
  const decide = (token: Token | undefined, view: View) => forgettable(services, view, at, token)
  const { id, state } = await whenChecked(services, at, signal, async (token) => {
    if (options.dryRun) return services.ledger.look((view) => decide(token, view))
    const { value } = await services.ledger.transact((tx) => {
      const location = decide(token, tx)
      if (!(location instanceof Unchecked)) planForget(services, tx, location)
      return location
    })
    return value
  })
  return { backend, key, id, was: state }
}

/**
 * @throws {StorageError} NOT_FOUND · UNAVAILABLE: a job is at work there · PRECONDITION_FAILED: it is a copy, and no other would remain.
 */
function forgettable(
  services: Services,
  view: View,
  at: Place & { readonly op: string },
  token: Token | undefined,
): Location | Unchecked {
  const { index, queue } = services
  const location = index.location(view, at)
  if (!location) throw new StorageError('NOT_FOUND', at, { detail: 'no copy is there, and none is being removed' })
  if (queue.isRunning(view, at))
    throw new StorageError('UNAVAILABLE', at, {
      detail: 'a job is running there: pause the backend, or wait until it ends',
    })
  const { id, key, state, shared } = location
  if (state === 'deleting') return location
  const isLost = among([location])
  const dropped = { id, isDropped: isLost, beside: 1, keys: shared ? null : [key], isLost }
  return checkRemains(services, view, dropped, at, token) ? location : new Unchecked(dropped)
}

function planForget(services: Services, tx: Transaction, location: Location): void {
  const { index, staging } = services
  const { id } = location
  vacate(services, tx, location)
  touch(services, tx, id)
  if (owes(location) && !index.hasPlace(tx, { id, standing: 'owing' })) staging.release(tx, id)
}
