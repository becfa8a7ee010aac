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
 * Opens a store, making it when it is not there, and goes on with what it still owes.
 *
 * @throws {StorageError} INVALID_ARGUMENT, MISCONFIGURED: the configuration, before anything is touched · PERMISSION_DENIED,
 *   NO_SPACE: the directory · INCOMPATIBLE: made by a newer version · CONFLICT: open already in this process, or in
 *   another PID namespace · UNSUPPORTED: a Node.js that StoreD does not run on · UNAVAILABLE: another program locks its files ·
 *   CORRUPT: its index is damaged, was lost, or is that of another store; nothing was changed.
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

/** @throws {StorageError} UNSUPPORTED, naming the versions that will do. */
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

/** Where the staged files of a store are. */
export function stagingOf({ path: directory }: Pick<UntypedConfig, 'path'>): string {
  return path.join(path.resolve(directory), 'staging')
}

/** Makes a store of its parts, and closes those there are when one cannot be opened. */
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
    // A new index that has commits is no longer seen to be new: whose the staged files are is settled first.
    await index.complete()
    const cached = cacheOptions(config.cache, directory)
    const cache = cached
      ? await openReadCache({ ...cached, mode, hasRoom: roomFor(cached.location, config, ledger) })
      : undefined
    if (cache) opened.unshift(cache)
    // Before the syncer: it tells other processes which backends it is given, and they are to follow at once.
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
    // Whatever fails now: the ledger must be closed, or it could not be opened again.
    for (const service of opened) await Promise.allSettled([service.close()])
    throw error
  }
}

/** A cache leaves the reserve of its disk alone. In the directory of the store it leaves what a put leaves. */
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
        // The directory is there once the cache is open.
        space ??= new DiskReserve(location, reserve)
        space.require(bytes)
      }
      return true
    } catch (error) {
      // Somebody removed it: whoever fills it makes it anew, or fails, which costs nothing but the fill.
      return !StorageError.is(error)
    }
  }
}
