import { checkOptions, type ErrorLocation, is, needed, type OptionRulesOf } from '@stored/core/backend'

/** Options of the driver `fs`. */
export interface FsBackendOptions {
  /**
   * The directory that holds the blobs. `open` creates it with its parents, and follows a link to a directory once. A
   * relative path is resolved once, at construction.
   */
  readonly root: string
  /**
   * Flush the blob and its directory entries before `put` and `delete` resolve. Off is faster, but a power cut loses the
   * last writes.
   *
   * @default true
   */
  readonly fsync?: boolean
  /** The only choice: links below the root are not read, not written through and not listed. @default 'refuse' */
  readonly symlinks?: 'refuse'
}

const AT: ErrorLocation = { backend: 'fs', op: 'constructor' }

export const OPTIONS = {
  root: needed({
    ...is.path,
    expected: 'the path of a directory',
    shown: 'string',
    doc: 'The directory that holds the blobs. `open` creates it with its parents, and follows a link to a directory once. A relative path is resolved once, at construction.',
  }),
  fsync: {
    ...is.boolean,
    default: true,
    doc: 'Flush the blob and its directory entries before `put` and `delete` resolve. Off is faster, but a power cut loses the last writes.',
  },
  symlinks: {
    ...is.oneOf(['refuse']),
    default: 'refuse',
    doc: 'The only choice: links below the root are not read, not written through and not listed.',
  },
} as const satisfies OptionRulesOf<FsBackendOptions>

/** @throws {StorageError} INVALID_ARGUMENT, naming the option and what it is. */
export function parseOptions(options: unknown): Required<FsBackendOptions> {
  return checkOptions(options as Required<FsBackendOptions>, OPTIONS, AT)
}
