import { checkKey, type ErrorLocation, keyFault, RESERVED_PREFIX, StorageError } from '@stored/core/backend'

/** The longest file name in UTF-8 bytes: NAME_MAX of Linux and macOS. */
export const MAX_SEGMENT_BYTES = 255

/**
 * The path of `key` below `root`. File names may contain every byte except the slash and NUL, so keys are used
 * unchanged: nothing is escaped, and a folder filled by other programs can be used directly.
 *
 * @param root Absolute and free of links.
 * @throws {StorageError} INVALID_KEY.
 */
export function toPath(root: string, key: string, caseSensitive: boolean, at: ErrorLocation): string {
  checkKey(key, at)
  // If the medium ignores case, `.STORED/` is the driver's own directory.
  if (!caseSensitive && key.toLowerCase().startsWith(RESERVED_PREFIX))
    throw new StorageError('INVALID_KEY', at, { detail: `"${RESERVED_PREFIX}" is reserved` })
  // A UTF-16 unit takes at most 3 bytes in UTF-8, so most keys need no look at their segments.
  if (key.length * 3 > MAX_SEGMENT_BYTES) checkSegments(key, at)
  return join(root, key)
}

/** `path.join` for names that need no normalizing. */
export function join(directory: string, name: string): string {
  return directory === '/' ? `/${name}` : `${directory}/${name}`
}

/** Whether a file of this name below the root may be a blob. */
export function isKey(name: string): boolean {
  return keyFault(name) === null
}

function checkSegments(key: string, at: ErrorLocation): void {
  const long = key.split('/').find((segment) => Buffer.byteLength(segment) > MAX_SEGMENT_BYTES)
  if (long === undefined) return
  const detail = `a segment has ${Buffer.byteLength(long)} bytes; at most ${MAX_SEGMENT_BYTES} are allowed`
  throw new StorageError('INVALID_KEY', at, { detail })
}
