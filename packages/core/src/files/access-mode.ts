import { chmod } from 'node:fs/promises'
import type { OptionRule } from '../backend/rules.ts'

/** Who may use a store: its owner, or everybody in the group of its directory. Whoever may read its files may lock them. */
export type AccessMode = 0o700 | 0o770

/** What is said of any option of that type, its text apart. */
export const ACCESS_MODE: Omit<OptionRule<AccessMode>, 'doc' | 'needed'> = {
  expected: '0o700 or 0o770',
  holds: (value) => value === 0o700 || value === 0o770,
  shown: 'number',
  default: 0o700,
  otherwise: '`0o700`',
}

/** Of directories. Files made in one for a group belong to that group, whichever is the first one of their maker. */
export function directoryMode(mode: AccessMode): number {
  return mode === 0o770 ? 0o2770 : mode
}

/**
 * Of sockets in the directory of a store, which says who reaches them. Whoever may open the store has to be able to ask whether the
 * process behind one lives, also where that was another user's, as in a container that ran as root.
 */
export const SOCKET_MODE = 0o666

/** Of files. */
export function fileMode(mode: AccessMode): number {
  return mode & 0o666
}

/** Gives what was just made its mode, from which the umask took. A file system without modes, such as exFAT, refuses. */
export async function setMode(path: string, mode: number): Promise<void> {
  await chmod(path, mode).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPERM' && error.code !== 'ENOTSUP') throw error
  })
}
