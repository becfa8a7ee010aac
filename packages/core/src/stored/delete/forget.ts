import { type ErrorLocation, StorageError } from '../../backend/error.ts'
import { checkOptions } from '../../backend/options.ts'
import { is, needed, type RulesOf } from '../../backend/rules.ts'
import { type Location, owes, type Place } from '../../model/copy.ts'
import { retryOnConflict } from '../../retry-on-conflict.ts'
import { checkBackendName, checkStoreKey } from '../lookup/names.ts'
import type { Services } from '../services.ts'
import type { ForgetOptions, ForgottenCopy } from '../types.ts'
import { checkRemains } from './plan-delete.ts'
import { vacate } from './vacate.ts'

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
  return retryOnConflict(() => forgetOnce(services, { backend, key }, options))
}

async function forgetOnce(services: Services, place: Place, options: ForgetOptions): Promise<ForgottenCopy> {
  const { index, ledger, queue } = services
  const at = { op: 'forget', ...place }
  const location = await index.location(place)
  if (!location) throw new StorageError('NOT_FOUND', at, { detail: 'no copy is there, and none is being removed' })
  for await (const _ of queue.jobs({ ...place, state: 'running' }))
    throw new StorageError('UNAVAILABLE', at, {
      detail: 'a job is running there: pause the backend, or wait until it ends',
    })
  if (location.state !== 'deleting') await giveUp(services, location, options, at)
  else if (!options.dryRun)
    await ledger.transact((tx) => {
      index.expect(tx, { place }, location.rev)
      vacate(services, tx, place)
    })
  return { ...place, id: location.id, was: location.state }
}

/** @throws {StorageError} PRECONDITION_FAILED: no other copy would remain. */
async function giveUp(
  services: Services,
  location: Location,
  { dryRun }: ForgetOptions,
  at: ErrorLocation,
): Promise<void> {
  const { index, ledger, staging, backends } = services
  const { id } = location
  const known = await index.known(id)
  const isStaged = await staging.ledger.look((view) => staging.has(view, id))
  const bound = await Array.fromAsync(index.keys(id))
  const live = (known?.locations ?? []).filter(({ state }) => state !== 'deleting')
  const left = live.filter(({ backend, key }) => backend !== location.backend || key !== location.key)
  checkRemains(live, left, { bound, isStaged, isConfigured: (name) => backends.has(name) }, at)
  if (dryRun) return
  await ledger.transact((tx) => {
    index.expect(tx, { id }, known?.rev ?? null)
    index.expect(tx, { place: location }, location.rev)
    vacate(services, tx, location)
    // Written again, so that a commit that decides by its copies at the same moment fails, and decides again.
    if (known) index.keep(tx, known.facts)
    if (!left.some(owes)) staging.release(tx, id)
  })
}
