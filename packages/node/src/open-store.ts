import path from 'node:path'
import { checksums } from '@stored/checksumd'
import { type BackendOptions, StoreD } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import { runtimeFault } from '@stored/core/runtime'
import { BlobIndex } from '@stored/index'
import { DiskReserve, LmdbLedger } from '@stored/lmdb'
import { claimStaging, DurableStaging, type DurableStagingOptions } from '@stored/staging'
import { JobQueue, SyncD } from '@stored/syncd'
import { parseByteSize } from './byte-size.ts'
import { accessMode, cacheOptions, checkConfig } from './check-config.ts'
import type { BackendConfig, StoreConfig, UntypedConfig } from './config.ts'
import { ownPlaces, resolveBackends } from './configuration/resolve-backends.ts'
import { mimeTypeOf } from './mime-type.ts'
import { openReadCache } from './open-read-cache.ts'

/**
 * Opens a store, creating it if it does not exist, and resumes its pending jobs.
 *
 * @throws {StorageError} INVALID_ARGUMENT, MISCONFIGURED: the configuration, before anything is touched ·
 *   PERMISSION_DENIED, NO_SPACE: the directory · INCOMPATIBLE: made by a newer version · CONFLICT: already open in this
 *   process, or in another PID namespace · UNSUPPORTED: a Node.js that StoreD does not support · UNAVAILABLE: another
 *   program locks its files · CORRUPT: its index is damaged, was lost, or belongs to another store; nothing was
 *   changed.
 */
export async function openStore<const Backends extends Readonly<Record<string, BackendConfig>>>(
  config: StoreConfig<Backends>,
): Promise<StoreD<keyof Backends & string>> {
  requireRuntime()
  checkConfig(config)
  const backends = await resolveBackends(config)
  const ledger = await openLedger(config)
  return assemble(config, backends, ledger, async (options) => {
    await claimStaging(options)
    return DurableStaging.open(options)
  })
}

/** @throws {StorageError} UNSUPPORTED, naming the supported versions. */
export function requireRuntime(): void {
  const fault = runtimeFault()
  if (fault !== null) throw new StorageError('UNSUPPORTED', { op: 'open' }, { detail: `StoreD ${fault}` })
}

/** Opens the index of a store. */
export function openLedger({
  path: directory,
  mode,
  reserve,
  allowNetworkFileSystem,
}: UntypedConfig): Promise<LmdbLedger> {
  return LmdbLedger.open({
    path: path.resolve(directory),
    mode: accessMode(mode),
    ...(reserve !== undefined && { reserve }),
    ...(allowNetworkFileSystem !== undefined && { allowNetworkFileSystem }),
  })
}

/** Where a store keeps its staged files. */
export function stagingOf({ path: directory }: Pick<UntypedConfig, 'path'>): string {
  return path.join(path.resolve(directory), 'staging')
}

/** Assembles a store from its parts, and closes those already open if one cannot be opened. */
export async function assemble<Name extends string>(
  config: UntypedConfig,
  backends: Record<Name, BackendOptions>,
  ledger: LmdbLedger,
  openStaging: (options: DurableStagingOptions) => Promise<DurableStaging>,
): Promise<StoreD<Name>> {
  const directory = path.resolve(config.path)
  const mode = accessMode(config.mode)
  const opened: { close(): Promise<void> }[] = [ledger]
  try {
    const index = new BlobIndex(ledger)
    const queue = new JobQueue(ledger)
    const { whenFull } = config.staging ?? {}
    const limit = parseByteSize(config.staging?.limit)
    const staging = await openStaging({ ledger, path: stagingOf(config), mode, ...(limit !== null && { limit }) })
    opened.unshift(staging)
    // A new index with commits no longer looks new: first settle whose the staged files are.
    await index.complete()
    const cached = cacheOptions(config.cache, directory)
    const cache = cached
      ? await openReadCache({ ...cached, mode, hasRoom: roomFor(cached.location, config, ledger) })
      : undefined
    if (cache) opened.unshift(cache)
    // Before the syncer: it tells other processes which backends it has, and they must be able to follow at once.
    const own = await ownPlaces(config)
    const syncer = await SyncD.open({
      directory,
      mode,
      ledger,
      index,
      queue,
      staging,
      ...(config.sync !== undefined && { sync: config.sync }),
    })
    opened.unshift(syncer)
    const { defaultBackends, checksums: algorithms, prefix } = config
    const services = { ledger, index, queue, staging, cache, syncer, checksums, mimeTypeOf }
    return new StoreD({ ...services, backends, defaultBackends, algorithms, prefix, whenFull, own })
  } catch (error) {
    // Whatever else fails, the ledger must be closed, or it could not be opened again.
    for (const service of opened) await Promise.allSettled([service.close()])
    throw error
  }
}

/** A cache leaves the reserve of its disk alone. In the store's directory it leaves as much as a put does. */
function roomFor(
  location: string,
  { path: directory, reserve }: UntypedConfig,
  ledger: LmdbLedger,
): (bytes: number) => boolean {
  const isWithin = path.resolve(location).startsWith(path.join(path.resolve(directory), path.sep))
  let space: DiskReserve | undefined
  return (bytes) => {
    try {
      if (isWithin) ledger.requireSpace(bytes)
      else {
        // The directory exists once the cache is open.
        space ??= new DiskReserve(location, reserve)
        space.require(bytes)
      }
      return true
    } catch (error) {
      // Someone removed it: the next fill creates it again, or fails, which costs only the fill.
      return !StorageError.is(error)
    }
  }
}
