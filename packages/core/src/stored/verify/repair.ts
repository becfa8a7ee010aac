import type { Stat } from '../../backend/contract.ts'
import { StorageError, toStorageError } from '../../backend/error.ts'
import { is, type RulesOf } from '../../backend/rules.ts'
import type { GuardedBackend } from '../../guard/guarded-backend.ts'
import type { BlobFacts } from '../../model/blob.ts'
import { isDoubtful, type Location, repaired } from '../../model/copy.ts'
import type { Transaction } from '../../ports/ledger.ts'
import type { Opened, Staged } from '../../ports/staging.ts'
import { readBlob } from '../get/get.ts'
import { byPlace, factsUnder } from '../lookup/copies.ts'
import { placesByPage } from '../lookup/find.ts'
import { checkName, hexOf } from '../lookup/names.ts'
import { tellProgress } from '../put/progress.ts'
import type { Services } from '../services.ts'
import type { RepairedCopy, RepairOptions, RepairResult } from '../types.ts'
import { diagnose } from './diagnose.ts'
import { keepAside } from './keep-aside.ts'
import { noteWhole, rewrite } from './record-damage.ts'

export const REPAIR_OPTIONS: RulesOf<RepairOptions> = { signal: is.signal, onProgress: is.callback }

/** Copies that are owed once more in one commit. */
const BATCH = 100

/** A copy that is to be replaced. */
interface Replaced {
  readonly location: Location
  /** What lies there, to be overwritten if it is still that; `null`: nothing. */
  readonly lies: Stat | null
  /** Where it was kept, unless it is only what is left of our own. */
  readonly kept?: string
}

/** What a look at a copy led to; `null`: it is to be replaced. */
type Looked = { readonly location: Location; readonly done: RepairedCopy | null }

/**
 * Looks again at the copies of a name that were found damaged, changed or gone; reads good bytes, verified, into staging; keeps
 * aside what somebody made of a copy; then owes the copies once more, up to 100 in one commit.
 *
 * @throws {StorageError} NOT_FOUND · what the only copy, or all of them, failed with: nothing was changed.
 */
export async function repair(
  services: Services,
  idOrKey: string,
  options: RepairOptions,
  signal: AbortSignal,
): Promise<RepairResult> {
  const at = { op: 'repair', key: idOrKey }
  checkName(idOrKey, at)
  const facts = await services.ledger.look((view) => factsUnder(services, view, idOrKey))
  if (!facts) throw new StorageError('NOT_FOUND', at)
  const all = (await Array.fromAsync(placesByPage(services, idOrKey, at, signal))).flat()
  const doubtful = all.filter((one) => isDoubtful(one) && services.backends.has(one.backend)).sort(byPlace)
  const copies: RepairedCopy[] = []
  for (let next = 0; next < doubtful.length; next += BATCH)
    copies.push(...(await repairSome(services, facts, doubtful.slice(next, next + BATCH), options, signal)))
  return { id: facts.id, copies }
}

async function repairSome(
  services: Services,
  facts: BlobFacts,
  doubtful: readonly Location[],
  options: RepairOptions,
  signal: AbortSignal,
): Promise<RepairedCopy[]> {
  const looked: Looked[] = []
  for (const location of doubtful) looked.push(await look(services, location, signal))
  if (looked.every(({ done }) => done !== null)) return looked.flatMap(({ done }) => done ?? [])
  await using staged = await receiveGood(services, facts, options, signal)
  const copies: RepairedCopy[] = []
  const replaced: Replaced[] = []
  for (const { location, done } of looked) {
    const prepared = done ?? (await prepare(services, location, signal))
    if ('lies' in prepared) replaced.push(prepared)
    else copies.push(prepared)
  }
  if (replaced.length > 0) {
    const { value } = await services.ledger.transact((tx) => planRepair(services, tx, { facts, replaced, staged }))
    copies.push(...value)
  }
  return copies
}

async function look(services: Services, location: Location, signal: AbortSignal): Promise<Looked> {
  const backend = backendOf(services, location)
  try {
    const { stat, body } = await backend.get(location.key, { sha256: hexOf(location.id), signal })
    for await (const _ of body);
    await noteWhole(services, location, stat)
    return { location, done: outcome(location, 'whole') }
  } catch (error) {
    signal.throwIfAborted()
    const found = await diagnose(backend, location, error, { signal })
    signal.throwIfAborted()
    if (found === null) return { location, done: failed(location, error) }
    if (found.state !== 'synced') return { location, done: null }
    await rewrite(services, location, found)
    return { location, done: outcome(location, 'whole') }
  }
}

/** Reads the first copy that is whole, wherever it is, into staging. */
export async function receiveGood(
  services: Services,
  { id, size }: BlobFacts,
  { onProgress }: RepairOptions,
  signal: AbortSignal,
): Promise<Staged> {
  const { staging, syncer } = services
  // Where nobody syncs there is nothing to wait for.
  const whenFull = syncer.attended ? services.whenFull : 'refuse'
  return readBlob(services, id, { fallback: true }, signal, {
    read: async (opened) => {
      await using copy = opened
      return await staging.receive(counted(copy, onProgress), { signal, size, whenFull })
    },
  })
}

async function* counted({ body, size }: Opened, onProgress: RepairOptions['onProgress']): AsyncGenerator<Uint8Array> {
  let bytes = 0
  for await (const chunk of body) {
    yield chunk
    bytes += chunk.byteLength
    if (onProgress) tellProgress(() => onProgress({ bytes, total: size }), { op: 'repair' })
  }
}

/** Keeps aside what is not ours to write over. */
async function prepare(services: Services, location: Location, signal: AbortSignal): Promise<Replaced | RepairedCopy> {
  const backend = backendOf(services, location)
  try {
    const lies = await backend.stat(location.key, { signal })
    if (lies === null || isOurs(backend, location, lies)) return { location, lies }
    if (lies.etag === undefined) throw untold(location)
    return { location, lies, kept: await keepAside(backend, location.key, lies, new Date(), signal) }
  } catch (error) {
    signal.throwIfAborted()
    return failed(location, error)
  }
}

/** Whether it is certainly what we wrote, gone bad. */
function isOurs({ capabilities }: GuardedBackend, { holds }: Location, { etag }: Stat): boolean {
  return etag !== undefined && etag === holds?.etag && capabilities.etag !== 'weak'
}

function untold({ backend, key }: Location): StorageError {
  const detail = 'StoreD cannot tell whether it changes again: move it away yourself, then repair'
  return new StorageError('UNSUPPORTED', { op: 'repair', backend, key }, { detail })
}

/** Owes the copies again that are still known to be bad. @returns What became of each. */
function planRepair(
  { backends, index, queue, staging }: Services,
  tx: Transaction,
  { facts: { id, size }, replaced, staged }: { facts: BlobFacts; replaced: readonly Replaced[]; staged: Staged },
): RepairedCopy[] {
  const known = index.facts(tx, id)
  const copies = replaced.map(({ location, lies, kept }): RepairedCopy => {
    const aside = kept === undefined ? {} : { kept }
    const now = index.location(tx, location)
    const isOver = now?.id !== id || !isDoubtful(now) || !backends.isReliable(tx, now.backend)
    if (!known || isOver) return { ...outcome(location, 'overtaken'), ...aside }
    index.locate(tx, repaired(now, lies?.etag))
    queue.enqueue(tx, { op: 'put', backend: now.backend, key: now.key, id, size })
    return { ...outcome(location, 'owed'), ...aside }
  })
  if (!copies.some((copy) => copy.outcome === 'owed')) return copies
  // More is owed: who looked at all of that before does not rely on what he found.
  if (known) index.keep(tx, known)
  staging.keep(tx, id, staged)
  if (index.hasPlace(tx, { id, standing: 'synced' })) staging.markReleasable(tx, id)
  return copies
}

function backendOf({ backends }: Services, { backend }: Location): GuardedBackend {
  return backends.get(backend, { op: 'repair' }).backend
}

function outcome({ backend, key, state }: Location, outcome: RepairedCopy['outcome']): RepairedCopy {
  return { backend, key, was: state, outcome }
}

function failed(location: Location, error: unknown): RepairedCopy {
  const { code, message } = toStorageError(error, { op: 'repair', backend: location.backend, key: location.key })
  return { ...outcome(location, 'failed'), error: { code, message } }
}
