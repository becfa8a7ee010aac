import { checkKey, type ErrorLocation, keyFault, RESERVED_PREFIX, StorageError } from '@stored/core/backend'

/** The longest name of a file, in UTF-8 bytes: NAME_MAX of Linux and macOS. */
export const MAX_SEGMENT_BYTES = 255

/**
 * The path of `key` below `root`. Names of files may hold every byte but the slash and NUL, so keys are names as they are:
 * nothing is escaped, and a folder that others fill can be used as it is.
 *
 * @param root Absolute and free of links.
 * @throws {StorageError} INVALID_KEY.
 */
export function toPath(root: string, key: string, caseSensitive: boolean, at: ErrorLocation): string {
  checkKey(key, at)
  // Where case does not matter, `.STORED/` is the driver's own directory.
  if (!caseSensitive && key.toLowerCase().startsWith(RESERVED_PREFIX))
    throw new StorageError('INVALID_KEY', at, { detail: `"${RESERVED_PREFIX}" is reserved` })
  // A UTF-16 unit takes at most 3 bytes in UTF-8: most keys need no look at their segments.
  if (key.length * 3 > MAX_SEGMENT_BYTES) checkSegments(key, at)
  return join(root, key)
}

/** `path.join` of what needs no normalizing. */
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
  const detail = `a segment takes ${Buffer.byteLength(long)} bytes of ${MAX_SEGMENT_BYTES}`
  throw new StorageError('INVALID_KEY', at, { detail })
}
