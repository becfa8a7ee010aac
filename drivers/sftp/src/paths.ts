import { checkKey, type ErrorLocation, keyFault, RESERVED_PREFIX, StorageError } from '@stored/core/backend'

/** The longest file name in UTF-8 bytes: NAME_MAX of most systems. */
export const MAX_SEGMENT_BYTES = 255

/**
 * The path of `key` below `root`. Nothing is escaped: servers hold names unchanged, so a folder filled by other
 * programs can be used directly. A server that cannot hold a name reports it.
 *
 * @param root Absolute and free of links.
 * @throws {StorageError} INVALID_KEY.
 */
export function toPath(root: string, key: string, caseSensitive: boolean, at: ErrorLocation): string {
  checkKey(key, at)
  // If the medium ignores case, `.STORED/` is the driver's own directory.
  if (!caseSensitive && key.toLowerCase().startsWith(RESERVED_PREFIX))
    throw new StorageError('INVALID_KEY', at, { detail: `"${RESERVED_PREFIX}" is reserved` })
  const long = key.split('/').find((segment) => Buffer.byteLength(segment) > MAX_SEGMENT_BYTES)
  if (long === undefined) return join(root, key)
  const detail = `a segment has ${Buffer.byteLength(long)} bytes; at most ${MAX_SEGMENT_BYTES} are allowed`
  throw new StorageError('INVALID_KEY', at, { detail })
}

/** `posix.join` for names that need no normalizing. */
export function join(directory: string, name: string): string {
  return directory === '/' ? `/${name}` : `${directory}/${name}`
}

/** Whether a file of this name below the root may be a blob. */
export function isKey(name: string): boolean {
  return keyFault(name) === null
}
