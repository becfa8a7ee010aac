import { rename } from 'node:fs/promises'
import path from 'node:path'
import type { BlobId } from '@stored/core'
import { checkOptions, is, mapErrno, type RulesOf, StorageError } from '@stored/core/backend'
import type { LmdbLedger } from '@stored/lmdb'
import { beginRecovery, type Claimed, endRecovery, RecoveredStaging, stagedFiles, standingOf } from '@stored/staging'
import { accessMode, checkConfig } from './check-config.ts'
import type { StoreConfig } from './config.ts'
import { resolveBackends } from './configuration/resolve-backends.ts'
import { assemble, openLedger, requireRuntime, stagingOf } from './open-store.ts'

const AT = { op: 'recover' }
const INDEX = 'index.mdb'

/** Options of recoverStore(). */
export interface RecoverOptions {
  /** Stops it; another call resumes. */
  signal?: AbortSignal
}

const OPTIONS: RulesOf<RecoverOptions> = { signal: is.signal }

/** A staged file that is a blob of the store again. */
export interface Recovered {
  readonly id: BlobId
  /** Its default key: the original one is lost with the index. */
  readonly key: string
  /** In bytes. */
  readonly size: number
}

/**
 * Creates a store from the files staged in its directory, after its index was lost or belongs to another store. Each
 * file is hashed, bound to its default key, and queued for the default backends; the next process that syncs the store
 * copies it there. Nothing is removed: an index that is in the way is kept as `index.mdb.stored-kept-<time>`. Blobs of
 * up to 64 KiB are part of the index, and are lost with it. A file whose put was killed before it finished is recovered
 * as far as it got.
 *
 * If it is interrupted, the store is CORRUPT until it is called again.
 *
 * @yields Each blob once it is recovered.
 * @throws {StorageError} ALREADY_EXISTS: the store is healthy · NOT_FOUND: nothing is staged · whatever `openStore`
 *   throws.
 */
export async function* recoverStore(
  config: StoreConfig,
  how: RecoverOptions = {},
): AsyncGenerator<Recovered, void, void> {
  requireRuntime()
  const options = checkOptions(how, OPTIONS, AT)
  checkConfig(config)
  const quiet = { ...config, sync: false, cache: false } as const
  const backends = await resolveBackends(quiet)
  const directory = stagingOf(config)
  if ((await stagedFiles(directory)).length === 0)
    throw new StorageError('NOT_FOUND', AT, {
      detail: `nothing is staged in ${directory}: there is nothing to recover`,
    })
  const ledger = await openNew(quiet)
  const opened: { staging?: RecoveredStaging } = {}
  await using store = await assemble(quiet, backends, ledger, async (options) => {
    await beginRecovery(options)
    opened.staging = await RecoveredStaging.open(options)
    return opened.staging
  })
  for await (const file of opened.staging?.files() ?? []) {
    const { id, key, size } = await store.put(file, options)
    yield { id, key, size }
  }
  await endRecovery({ ledger, path: directory, mode: accessMode(config.mode) })
}

/** Opens a new index, or that of an interrupted recovery. Any other is kept aside, unless the store is healthy. */
async function openNew(config: StoreConfig): Promise<LmdbLedger> {
  const ledger = await openLedger(config).catch((error) => {
    if (StorageError.is(error) && error.code === 'CORRUPT' && error.at.key === INDEX) return null
    throw error
  })
  if (ledger && (await isUsable({ ledger, path: stagingOf(config) }))) return ledger
  await keepAside(path.resolve(config.path))
  return openLedger(config)
}

/** Closes the index if it is not usable. */
async function isUsable(claimed: Claimed): Promise<boolean> {
  const standing = await standingOf(claimed).catch(async (error) => {
    await claimed.ledger.close()
    throw error
  })
  if (standing.standing === 'lost' || standing.standing === 'recovering') return true
  await claimed.ledger.close()
  if (standing.standing === 'foreign') return false
  throw new StorageError('ALREADY_EXISTS', AT, { detail: 'the store is healthy: there is nothing to recover' })
}

/** Together with its locks: another process may have them open. */
async function keepAside(directory: string): Promise<void> {
  const index = path.join(directory, INDEX)
  const aside = `${index}.stored-kept-${new Date().toISOString().replaceAll(':', '-')}`
  for (const suffix of ['', '-lock'])
    await rename(`${index}${suffix}`, `${aside}${suffix}`).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw mapErrno(error, AT)
    })
}
