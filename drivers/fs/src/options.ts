import { checkOptions, type ErrorLocation, is, needed, type RulesOf } from '@stored/core/backend'

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

const OPTIONS: RulesOf<FsBackendOptions> = {
  root: needed({ ...is.path, expected: 'the path of a directory', shown: 'string' }),
  fsync: is.boolean,
  symlinks: is.oneOf(['refuse']),
}

/** @throws {StorageError} INVALID_ARGUMENT, naming the option and what it is. */
export function parseOptions(options: unknown): Required<FsBackendOptions> {
  const { root, fsync = true, symlinks = 'refuse' } = checkOptions(options as FsBackendOptions, OPTIONS, AT)
  return { root, fsync, symlinks }
}
