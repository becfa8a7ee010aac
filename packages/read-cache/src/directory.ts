import { chmod, mkdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { mapErrno, type Rule, StorageError } from '@stored/core/backend'

/** Who may use the directory of a cache: its owner, or everybody in its group. */
export type AccessMode = 0o700 | 0o770

export const ACCESS_MODE: Rule = {
  expected: '0o700 or 0o770',
  holds: (value) => value === 0o700 || value === 0o770,
  shown: 'number',
}

/** With these no directory can be at a path: a mistake in the configuration. */
const UNUSABLE: ReadonlySet<unknown> = new Set(['EEXIST', 'ENOTDIR', 'ENAMETOOLONG', 'ELOOP', 'ENOENT'])
/** A file system without modes, such as exFAT, refuses to change them. */
const NO_MODES: ReadonlySet<unknown> = new Set(['EPERM', 'ENOTSUP'])

/** Makes a directory with its parents. What is there is left as it is. Nothing is flushed: a cache that is lost is made again. */
export async function makeDirectory(directory: string, mode: AccessMode = 0o700): Promise<void> {
  try {
    await mkdir(path.dirname(directory), { recursive: true })
    await makeLeaf(directory, mode)
  } catch (cause) {
    const at = { op: 'open' }
    if (!UNUSABLE.has(codeOf(cause))) throw mapErrno(cause, at)
    const detail = `no directory can be at ${JSON.stringify(directory)}`
    throw new StorageError('MISCONFIGURED', at, { cause, detail })
  }
}

async function makeLeaf(directory: string, mode: AccessMode): Promise<void> {
  try {
    await mkdir(directory, { mode })
  } catch (error) {
    if (codeOf(error) === 'EEXIST' && (await stat(directory)).isDirectory()) return
    throw error
  }
  // Files made in a directory for a group belong to that group.
  await chmod(directory, mode === 0o770 ? 0o2770 : mode).catch((error: unknown) => {
    if (!NO_MODES.has(codeOf(error))) throw error
  })
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
