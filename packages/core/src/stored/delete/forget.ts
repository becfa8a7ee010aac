import { StorageError } from '../../backend/error.ts'
import { checkOptions } from '../../backend/options.ts'
import { is, needed, type RulesOf } from '../../backend/rules.ts'
import { type Location, owes, type Place } from '../../model/copy.ts'
import type { Transaction, View } from '../../ports/ledger.ts'
import { checkBackendName, checkStoreKey } from '../lookup/names.ts'
import type { Services } from '../services.ts'
import type { ForgetOptions, ForgottenCopy } from '../types.ts'
import { vacate } from './give-up.ts'
import { checkRemains } from './remaining.ts'

const PLACE: RulesOf<Place> = {
  backend: needed(is.text),
  // What a key may be is told with INVALID_KEY.
  key: { expected: 'a key', holds: () => true },
}

export const FORGET_OPTIONS: RulesOf<ForgetOptions> = { dryRun: is.boolean }

/** Gives up a copy, or its removal, and leaves what lies there. */
export async function forget(services: Services, place: Place, options: ForgetOptions): Promise<ForgottenCopy> {
  const { backend, key } = checkOptions(place, PLACE, { op: 'forget' })
  checkBackendName(backend, { op: 'forget' })
  checkStoreKey(key, { op: 'forget' })
  const { ledger } = services
  const decide = (view: View) => forgettable(services, view, { backend, key })
  const { id, state } = options.dryRun
    ? await ledger.look(decide)
    : (await ledger.transact((tx) => planForget(services, tx, decide(tx)))).value
  return { backend, key, id, was: state }
}

/**
 * @throws {StorageError} NOT_FOUND · UNAVAILABLE: a job is at work there · PRECONDITION_FAILED: it is a copy, and no other would remain.
 */
function forgettable(services: Services, view: View, place: Place): Location {
  const { index, queue } = services
  const at = { op: 'forget', ...place }
  const location = index.location(view, place)
  if (!location) throw new StorageError('NOT_FOUND', at, { detail: 'no copy is there, and none is being removed' })
  if (queue.isRunning(view, place))
    throw new StorageError('UNAVAILABLE', at, {
      detail: 'a job is running there: pause the backend, or wait until it ends',
    })
  if (location.state !== 'deleting') checkRemains(services, view, location.id, [location], at)
  return location
}

function planForget(services: Services, tx: Transaction, location: Location): Location {
  const { index, staging } = services
  vacate(services, tx, location)
  if (owes(location) && !index.hasPlace(tx, { id: location.id, standing: 'owing' })) staging.release(tx, location.id)
  return location
}
