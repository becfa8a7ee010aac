import { join } from 'node:path'
import { describeType } from '@stored/core/backend'
import type { AccessMode } from '@stored/core/files'
import { parseByteSize } from './byte-size.ts'
import type { CacheConfig, StoreConfig, UntypedConfig } from './config.ts'
import { checkTree } from './configuration/check.ts'
import { type Branch, branchOf, type Place } from './configuration/tree.ts'
import { invalid } from './invalid.ts'

/** Values from a program have no source position. */
const GIVEN: Place = { from: 'flag', where: '', base: '' }
const MODES = { '0700': 0o700, '0770': 0o770 } as const
const DEFAULT_CACHE_BYTES = 1e9

/**
 * Checks with the same tables as configuration files and variables. Drivers check their own options.
 *
 * @throws {StorageError} INVALID_ARGUMENT, naming the option and the type of its value, never the value.
 */
export function checkConfig(config: UntypedConfig): void {
  if (describeType(config) !== 'object') throw invalid(`a configuration must be an object, not ${describeType(config)}`)
  const faults = checkTree(treeOf(config))
  if (faults.length > 0) throw invalid(faults.map(({ text }) => text).join('\n'))
}

function treeOf(config: UntypedConfig): Branch {
  try {
    return branchOf(config, GIVEN)
  } catch (cause) {
    // A getter or a Proxy threw, or it contains itself.
    throw invalid('the configuration cannot be read', cause)
  }
}

/** The mode of a store's directories. */
export function accessMode(mode: StoreConfig['mode'] = '0700'): AccessMode {
  return MODES[mode]
}

/** The options of the read cache for a store in `directory`; `null`: it has none. */
export function cacheOptions(
  cache: CacheConfig | false | undefined,
  directory: string,
): (Required<CacheConfig> & { maxSize: number }) | null {
  if (cache === undefined || cache === false) return null
  const { maxSize, location = join(directory, 'cache'), evictionPolicy = 'lru' } = cache
  return { maxSize: parseByteSize(maxSize) ?? DEFAULT_CACHE_BYTES, location, evictionPolicy }
}
