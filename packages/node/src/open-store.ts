import path from 'node:path'
import { DiskReadCache, DurableStaging } from '@stored/cache'
import { checksums } from '@stored/checksumd'
import { type BackendOptions, StoreD } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import { BlobIndex } from '@stored/index'
import { DiskReserve, LmdbLedger } from '@stored/lmdb'
import { JobQueue, SyncD } from '@stored/syncd'
import { parseByteSize } from './byte-size.ts'
import { type BackendConfig, cacheOptions, checkConfig, type StoreConfig } from './config.ts'
import { resolveBackend } from './configuration/resolve-backend.ts'
import { mimeTypeOf } from './mime-type.ts'

/**
 * Opens a store, making it when it is not there, and goes on with what it still owes.
 *
 * @throws {StorageError} INVALID_ARGUMENT, MISCONFIGURED: the configuration, before anything is touched · PERMISSION_DENIED,
 *   NO_SPACE: the directory · INCOMPATIBLE: made by a newer version · CONFLICT: open already in this process.
 */
export async function openStore<const Backends extends Readonly<Record<string, BackendConfig>>>(
  config: StoreConfig<Backends>,
): Promise<StoreD<keyof Backends & string>> {
  checkConfig(config)
  const backends = {} as Record<keyof Backends & string, BackendOptions>
  for (const name of Object.keys(config.backends) as (keyof Backends & string)[])
    backends[name] = await resolveBackend(name, config.backends[name] as BackendConfig)
  const directory = path.resolve(config.path)
  const ledger = await LmdbLedger.open({
    path: directory,
    ...(config.reserve !== undefined && { reserve: config.reserve }),
    ...(config.allowNetworkFileSystem !== undefined && { allowNetworkFileSystem: config.allowNetworkFileSystem }),
  })
  const opened: { close(): Promise<void> }[] = [ledger]
  try {
    const index = new BlobIndex(ledger)
    const queue = new JobQueue(ledger)
    const { whenFull } = config.staging ?? {}
    const limit = parseByteSize(config.staging?.limit)
    const staging = await DurableStaging.open({
      ledger,
      path: path.join(directory, 'staging'),
      ...(limit !== null && { limit }),
    })
    opened.unshift(staging)
    const cached = cacheOptions(config.cache, directory)
    const cache = cached
      ? await DiskReadCache.open({ ...cached, hasRoom: roomAt(cached.location, config.reserve) })
      : undefined
    if (cache) opened.unshift(cache)
    const syncer = await SyncD.open({
      directory,
      ledger,
      index,
      queue,
      staging,
      ...(config.sync !== undefined && { sync: config.sync }),
    })
    opened.unshift(syncer)
    const { defaultBackends, checksums: algorithms, prefix } = config
    const services = { ledger, index, queue, staging, cache, syncer, checksums, mimeTypeOf }
    return new StoreD({ ...services, backends, defaultBackends, algorithms, prefix, whenFull })
  } catch (error) {
    // Whatever fails now: the ledger must be closed, or it could not be opened again.
    for (const service of opened) await Promise.allSettled([service.close()])
    throw error
  }
}

/** A cache leaves the reserve of its disk alone: it may be that of the store. */
function roomAt(location: string, reserve: number | undefined): (bytes: number) => boolean {
  let space: DiskReserve | undefined
  return (bytes) => {
    try {
      // The directory is there once the cache is open.
      space ??= new DiskReserve(location, reserve)
      space.require(bytes)
      return true
    } catch (error) {
      // Somebody removed it: whoever fills it makes it anew, or fails, which costs nothing but the fill.
      return !StorageError.is(error)
    }
  }
}
