import { type ErrorLocation, StorageError } from '../../backend/error.ts'
import { isId } from '../../backend/keys.ts'
import { is, type RulesOf } from '../../backend/rules.ts'
import type { Location, Place } from '../../model/copy.ts'
import type { Failure } from '../../model/failure.ts'
import type { Services } from '../services.ts'
import type { SyncedOptions } from '../types.ts'
import { type Changes, waitFor } from './changes.ts'
import { placesByPage } from './find.ts'
import { checkName } from './names.ts'

export const SYNCED_OPTIONS: RulesOf<SyncedOptions> = { copies: is.whole(1), backends: is.names, signal: is.signal }

/**
 * Waits until no jobs are left, of one blob or of all.
 *
 * @throws {StorageError} The error of a job that was parked · UNSUPPORTED: no process does those that are left.
 */
export async function synced(
  services: Services,
  changes: Changes,
  idOrKey: string | undefined,
  options: SyncedOptions,
  signal: AbortSignal,
): Promise<void> {
  const at = { op: 'synced', key: idOrKey }
  if (idOrKey !== undefined) checkName(idOrKey, at)
  if (options.backends !== undefined) services.backends.select(options.backends, at)
  if (options.copies !== undefined && idOrKey === undefined)
    throw new StorageError('INVALID_ARGUMENT', at, { detail: 'copies are counted for one blob: name it' })
  const owing =
    idOrKey === undefined ? () => allOwing(services, options, at) : blobOwing(services, idOrKey, options, at, signal)
  for (;;) {
    const changed = changes.next()
    const names = await owing()
    if (names.length === 0) return
    await checkSynced(services, names, at)
    await waitFor(changed, signal, at)
  }
}

/** Whether somebody syncs at least one of these backends. */
async function checkSynced({ syncer }: Services, names: readonly string[], at: ErrorLocation): Promise<void> {
  if (syncer.active) return
  if (!syncer.attended) throw new StorageError('UNSUPPORTED', at, { detail: 'no process syncs the store' })
  if (await isNoneSynced({ syncer }, names)) throw new StorageError('UNSUPPORTED', at, { detail: notThere(names) })
}

/** Why waiting for staged bytes to leave is in vain; `null` if it is not: some process syncs one of the backends that are owed them. */
export async function whyNothingLeaves({ queue, syncer }: Services): Promise<string | null> {
  const counts = Object.entries(await queue.counts())
  const names = counts.filter(([, { waiting, running }]) => waiting + running > 0).map(([name]) => name)
  // Without a process that syncs, one may take over in a moment.
  if (names.length === 0 || !syncer.attended) return null
  return (await isNoneSynced({ syncer }, names)) ? notThere(names) : null
}

/** Whether the process that syncs has none of these backends: it may be configured with others. */
async function isNoneSynced({ syncer }: Pick<Services, 'syncer'>, names: readonly string[]): Promise<boolean> {
  for (const name of names) if ((await syncer.state(name)).state !== 'unknown') return false
  return true
}

function notThere(names: readonly string[]): string {
  return `the process that syncs the store has no ${names.join(' or ')}`
}

/** @returns The backends that are owed something: none once all is settled. */
async function allOwing({ queue, backends }: Services, options: SyncedOptions, at: ErrorLocation): Promise<string[]> {
  const counts = await queue.counts()
  const names = options.backends ?? backends.all().map(({ name }) => name)
  const owing = names.filter((name) => (counts[name]?.waiting ?? 0) + (counts[name]?.running ?? 0) > 0)
  if (owing.length > 0) return owing
  for (const backend of names) {
    if ((counts[backend]?.parked ?? 0) === 0) continue
    for await (const [job] of queue.jobs({ backend, state: 'parked' })) if (job) throw unsettled(job, job.error, at)
  }
  return []
}

/**
 * The same of one blob, to be asked again and again. Of an id with many copies one pending copy of each backend is watched: as long as all
 * of these are pending, the others need not be read.
 */
function blobOwing(
  services: Services,
  idOrKey: string,
  options: SyncedOptions,
  at: ErrorLocation & { readonly op: string },
  signal: AbortSignal,
): () => Promise<string[]> {
  // A key has few. Where copies are counted, each one matters.
  const isWatching = isId(idOrKey) && options.copies === undefined
  let watched: readonly Location[] = []
  return async () => {
    if (!(await areAllPending(services, watched, options))) {
      const pending = await pendingOf(services, idOrKey, options, at, signal)
      // The last of each backend: those that are queued first are done first.
      const last = [...new Map(pending.map((one) => [one.backend, one])).values()]
      if (!isWatching) return last.map(({ backend }) => backend)
      watched = last
    }
    return watched.map(({ backend }) => backend)
  }
}

async function areAllPending(
  services: Services,
  watched: readonly Location[],
  options: SyncedOptions,
): Promise<boolean> {
  const { index, ledger } = services
  // A backend may have been removed.
  if (watched.length === 0 || countedOf(services, watched, options).length < watched.length) return false
  return ledger.look((view) => {
    return watched.every(({ id, ...place }) => {
      const now = index.location(view, place)
      return now?.id === id && now.state === 'pending' && index.facts(view, id) !== null
    })
  })
}

/** @returns Copies that are pending: none once all is settled. */
async function pendingOf(
  services: Services,
  idOrKey: string,
  options: SyncedOptions,
  at: ErrorLocation & { readonly op: string },
  signal: AbortSignal,
): Promise<Location[]> {
  const all = (await Array.fromAsync(placesByPage(services, idOrKey, at, signal))).flat()
  const locations = countedOf(services, all, options)
  if (locations.length === 0) throw uncounted(all, options, at)
  const done = locations.filter(({ state }) => state === 'synced').length
  if (options.copies !== undefined && done >= options.copies) return []
  const owing = locations.filter(({ state }) => state === 'pending')
  if (owing.length > 0) return owing
  const failed = locations.find(({ state }) => state === 'failed' || state === 'conflict')
  if (failed) throw unsettled(failed, failed.error, at)
  if (options.copies !== undefined && options.copies > locations.length)
    throw new StorageError('INVALID_ARGUMENT', at, {
      detail: `${options.copies} copies are more than the ${locations.length} planned`,
    })
  const bad = locations.find(({ state }) => state !== 'synced')
  if (bad) throw unsettled(bad, bad.error, at)
  return []
}

/** No copy counts: what is nowhere is not where it shall be. */
function uncounted(
  locations: readonly Location[],
  { backends }: SyncedOptions,
  at: ErrorLocation & { op: string },
): StorageError {
  if (backends)
    return new StorageError('INVALID_ARGUMENT', at, { detail: `no copy is planned on ${backends.join(' or ')}` })
  const names = [...new Set(locations.map(({ backend }) => backend))].join(', ')
  const detail = names === '' ? 'there is no copy' : `its copies are on backends that are not configured: ${names}`
  return new StorageError('UNAVAILABLE', at, { detail })
}

function countedOf({ backends }: Services, locations: readonly Location[], options: SyncedOptions): Location[] {
  return locations.filter(({ backend }) => options.backends?.includes(backend) ?? backends.has(backend))
}

/** Of a job that was parked, or a copy that was found damaged or gone. */
function unsettled({ backend, key }: Place, error: Failure | undefined, at: ErrorLocation): StorageError {
  return new StorageError(
    error?.code ?? 'INTERNAL',
    { ...at, backend, key },
    { detail: error?.message ?? 'no reason was recorded' },
  )
}
