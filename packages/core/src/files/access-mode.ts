import { chmod } from 'node:fs/promises'
import type { OptionRule } from '../backend/rules.ts'

/**
 * Who may use a store: its owner, or everyone in the group of its directory. Anyone who can read its files can lock
 * them.
 */
export type AccessMode = 0o700 | 0o770

/** The rule for any option of that type, without its text. */
export const ACCESS_MODE: Omit<OptionRule<AccessMode>, 'doc' | 'needed'> = {
  expected: '0o700 or 0o770',
  holds: (value) => value === 0o700 || value === 0o770,
  shown: 'number',
  default: 0o700,
  otherwise: '`0o700`',
}

/**
 * The mode of directories. Files created in a group directory belong to that group, whatever the primary group of their
 * creator.
 */
export function directoryMode(mode: AccessMode): number {
  return mode === 0o770 ? 0o2770 : mode
}

/**
 * The mode of sockets in a store's directory; the directory decides who reaches them. Everyone who may open the store
 * must be able to ask whether the process behind a socket is alive, even if another user ran it, such as root in a
 * container.
 */
export const SOCKET_MODE = 0o666

/** The mode of files. */
export function fileMode(mode: AccessMode): number {
  return mode & 0o666
}

/**
 * Sets the mode of something just created, since the umask reduced it. A file system without modes, such as exFAT,
 * refuses.
 */
export async function setMode(path: string, mode: number): Promise<void> {
  await chmod(path, mode).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPERM' && error.code !== 'ENOTSUP') throw error
  })
}
