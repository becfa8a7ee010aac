import { isId } from '../../backend/keys.ts'
import { is, type RulesOf } from '../../backend/rules.ts'
import type { BlobId } from '../../model/blob.ts'
import { isObjectOf } from '../../model/copy.ts'
import type { DeleteEvent, Logged } from '../../model/event.ts'
import type { Binding } from '../../model/key.ts'
import { retryOnConflict } from '../../retry-on-conflict.ts'
import { checkName } from '../lookup/names.ts'
import { expectShare } from '../put/expect-share.ts'
import { hasOtherKeys } from '../put/put.ts'
import { readTries } from '../put/tries.ts'
import type { Services } from '../services.ts'
import type { DeleteOptions, DeleteResult } from '../types.ts'
import { planDelete } from './plan-delete.ts'
import { vacate } from './vacate.ts'

export interface DeleteOutcome extends DeleteResult {
  /** Absent when nothing was committed. */
  readonly seq?: number
  /** Absent when no key was unbound. */
  readonly event?: Logged<DeleteEvent>
}

export const DELETE_OPTIONS: RulesOf<DeleteOptions> = { backends: is.names, dryRun: is.boolean, signal: is.signal }
const NOTHING: DeleteOutcome = { deleted: [], pending: [] }

/** Unbinds and queues the removal of objects; or, with `backends`, only drops copies. */
export async function remove(services: Services, idOrKey: string, options: DeleteOptions): Promise<DeleteOutcome> {
  const at = { op: 'delete', key: idOrKey }
  checkName(idOrKey, at)
  if (options.backends !== undefined) services.backends.select(options.backends, at)
  return retryOnConflict(() => removeOnce(services, idOrKey, options))
}

async function removeOnce(services: Services, idOrKey: string, options: DeleteOptions): Promise<DeleteOutcome> {
  const { index, ledger, queue, staging, cache } = services
  const { backends } = options
  const found = await find(services, idOrKey, options)
  if (!found) return NOTHING
  const { id, key, bindings } = found
  const known = await index.known(id)
  if (!known) return (await isBoundAnew(services, bindings)) ? removeOnce(services, idOrKey, options) : NOTHING
  const keys = backends ? [] : bindings.map((binding) => binding.key)
  const hasOthers = await hasOtherKeys(index, id, keys)
  // An id means all its keys, also one that was bound to it since they were read.
  if (hasOthers && key === undefined && !backends) return removeOnce(services, idOrKey, options)
  // Of a blob that keeps other keys only what goes with this one is touched.
  const isShare = key !== undefined && hasOthers && !backends
  const own = isShare ? known.locations.filter((location) => isObjectOf(location, key)) : null
  const tries = await readTries(queue, own ?? known.locations)
  const isConfigured = (name: string) => services.backends.has(name)
  const { begun } = tries
  // Read after what is known: a release in between changes that, and fails the guard.
  const isStaged = await staging.ledger.look((view) => staging.has(view, id))
  const bound = backends ? await Array.fromAsync(index.keys(id)) : []
  const plan = planDelete({ known, keys, hasOtherKeys: hasOthers, bound, begun, isConfigured, isStaged, backends, key })
  const event: DeleteEvent | null = keys.length > 0 ? { type: 'delete', checksum: id, keys, time: Date.now() } : null
  const pending = [...new Set(plan.jobs.map(({ backend }) => backend))]
  if (options.dryRun) return { deleted: keys, pending }
  const { seq, position } = await ledger.transact((tx) => {
    if (own) expectShare(tx, index, known, own, !plan.release)
    else index.expect(tx, { id }, known.rev)
    for (const binding of bindings) index.expect(tx, { key: binding.key }, binding.rev)
    tries.expect(tx)
    for (const unbound of keys) index.unbind(tx, unbound)
    for (const location of plan.locations) index.locate(tx, location)
    for (const job of plan.jobs) queue.enqueue(tx, job)
    for (const place of plan.gone) vacate(services, tx, place)
    if (plan.forget) index.forget(tx, id)
    // Written again, so that whoever decides by its keys at the same moment decides anew.
    else index.keep(tx, known.facts)
    if (plan.release) staging.release(tx, id)
    if (event) ledger.record(tx, event)
  })
  // Bytes that were deleted are kept nowhere.
  if (plan.forget) await cache?.drop(id)
  return { deleted: keys, pending, seq, ...(event && { event: { ...event, seq, position } }) }
}

/** Whether one of these was bound to another blob meanwhile: its former one may be forgotten by now. */
async function isBoundAnew({ index }: Services, bindings: readonly Binding[]): Promise<boolean> {
  for (const { key, rev } of bindings) {
    const now = await index.binding(key)
    if (now && now.rev !== rev) return true
  }
  return false
}

/** The blob, and the bindings that a deletion by this name ends. */
async function find(
  { index }: Services,
  idOrKey: string,
  { signal }: DeleteOptions,
): Promise<{ id: BlobId; key: string | undefined; bindings: Binding[] } | null> {
  if (!isId(idOrKey)) {
    const binding = await index.binding(idOrKey)
    return binding && { id: binding.id, key: idOrKey, bindings: [binding] }
  }
  const bindings: Binding[] = []
  for await (const key of index.keys(idOrKey, { signal })) {
    const binding = await index.binding(key)
    // It may have been bound to another blob meanwhile.
    if (binding?.id === idOrKey) bindings.push(binding)
  }
  return { id: idOrKey, key: undefined, bindings }
}
