import { randomUUID } from 'node:crypto'
import { readlinkSync } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { mapErrno } from '@stored/core/backend'

/** How long a file of a process that cannot be seen from here is left alone after its last write, in milliseconds. */
const UNSEEN_MS = 60 * 60 * 1000

const NAME = /^(\d+)(?:\.(\d*))?-/

/** Containers that share a store's directory may use the same pid: it says something only within its namespace. */
const NAMESPACE = readNamespace()

/** A new name for a file of this process. */
export function newName(): string {
  return `${process.pid}.${NAMESPACE}-${randomUUID()}`
}

/** Names of the files in a directory that hold staged bytes, or did; none where there is no directory. */
export async function stagedFiles(directory: string): Promise<string[]> {
  const names = await readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw mapErrno(error, { op: 'open' })
  })
  return names.filter((name) => NAME.test(name))
}

/**
 * Whether the process that wrote a file is gone. Which of this process' own are in use, the caller knows.
 *
 * Of a process in another namespace that is a guess: whoever keeps a file makes sure that it is still there.
 */
export async function isAbandoned(path: string, name: string): Promise<boolean> {
  const [, pid, namespace = ''] = NAME.exec(name) ?? []
  if (pid === undefined || !Number.isSafeInteger(Number(pid))) return false
  if (namespace === NAMESPACE) return Number(pid) === process.pid || !isAlive(Number(pid))
  // Gone meanwhile: nothing to remove.
  const found = await stat(path).catch(() => null)
  return found !== null && Date.now() - found.mtimeMs > UNSEEN_MS
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}

/** Empty where there are none. @see pid_namespaces(7) */
function readNamespace(): string {
  try {
    return /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? ''
  } catch {
    return ''
  }
}
