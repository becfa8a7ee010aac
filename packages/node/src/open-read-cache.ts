import type { ReadCache } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import type { DiskReadCacheOptions } from '@stored/read-cache'

/**
 * Opens a read cache. Its package is loaded only here: a store without a cache does not need it installed.
 *
 * @throws {StorageError} MISCONFIGURED: the package is not installed, or cannot be loaded.
 */
export async function openReadCache(options: DiskReadCacheOptions): Promise<ReadCache> {
  const { DiskReadCache } = await import('@stored/read-cache').catch((cause: NodeJS.ErrnoException) => {
    const isMissing = cause.code === 'ERR_MODULE_NOT_FOUND' && cause.message.includes("'@stored/read-cache'")
    const detail = isMissing
      ? 'the option "cache" needs a package that is not installed: npm install @stored/read-cache'
      : 'the package @stored/read-cache cannot be loaded'
    throw new StorageError('MISCONFIGURED', { op: 'open' }, { cause, detail })
  })
  return DiskReadCache.open(options)
}
