import { checkOptions, describeType, type ErrorLocation, StorageError } from '@stored/core/backend'

/** Options of the driver `fs`. */
export interface FsBackendOptions {
  /**
   * The directory that holds the blobs, made by `open` when it is not there. A relative path is resolved once, at
   * construction; a link to a directory is followed once, by `open`.
   */
  readonly root: string
  /**
   * Flush the blob and its directory entries before `put` and `delete` resolve. Off is faster and loses the last writes at a
   * power cut.
   *
   * @default true
   */
  readonly fsync?: boolean
  /** What to do about symbolic links below the root: they are neither read, nor written through, nor listed. @default 'refuse' */
  readonly symlinks?: 'refuse'
}

const AT: ErrorLocation = { backend: 'fs', op: 'constructor' }

/** @throws {StorageError} INVALID_ARGUMENT, naming the option and what it is. */
export function parseOptions(options: unknown): Required<FsBackendOptions> {
  checkOptions(options, ['root', 'fsync', 'symlinks'], AT)
  const { root, fsync = true, symlinks = 'refuse' } = options as Readonly<Record<string, unknown>>
  if (typeof root !== 'string') throw wrong('root', 'the path of a directory', describeType(root))
  if (root === '' || root.includes('\0')) throw wrong('root', 'the path of a directory', JSON.stringify(root))
  if (typeof fsync !== 'boolean') throw wrong('fsync', 'a boolean', describeType(fsync))
  if (symlinks !== 'refuse')
    throw wrong(
      'symlinks',
      '"refuse"',
      typeof symlinks === 'string' ? JSON.stringify(symlinks) : describeType(symlinks),
    )
  return { root, fsync, symlinks }
}

function wrong(option: string, expected: string, found: string): StorageError {
  return new StorageError('INVALID_ARGUMENT', AT, { detail: `option "${option}" is ${expected}, not ${found}` })
}
