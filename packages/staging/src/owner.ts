import { randomBytes, randomUUID } from 'node:crypto'
import { readdir, stat } from 'node:fs/promises'
import { mapErrno } from '@stored/core/backend'
import { lifeOf, THIS_PROCESS } from '@stored/core/processes'

/** How long a file of a process that cannot be seen from here is left alone after its last write, in milliseconds. */
const UNSEEN_MS = 60 * 60 * 1000
/** Of this copy of the package, in this thread: it knows which of its own files are in use. */
const TOKEN = randomBytes(6).toString('hex')
/** `pid.namespace.start.token-uuid`; earlier versions wrote `pid.namespace-uuid`, or `pid-uuid`. */
const NAME = /^(\d+)(?:\.(\d*))?(?:\.(\d*)\.([0-9a-f]+))?-/
/** Ends each of these. A recovery reads also what others renamed or copied; what is removed has to be told from a `2024-01-05.jpg`. */
const ENDING = /-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** A new name for a file of this process. */
export function newName(): string {
  const { pid, namespace, start } = THIS_PROCESS
  return `${pid}.${namespace}.${start}.${TOKEN}-${randomUUID()}`
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
 * What became of the process that wrote a file.
 *
 * @param name Of a file that this copy of the package is not receiving.
 * @returns `alive` also for a file that is none of these, or gone · `dead`: nothing will keep the file any more · `unseen`: the process is in another
 *   namespace, or another thread of this one, and left the file alone for an hour: it may live.
 */
export async function ownerOf(path: string, name: string): Promise<'alive' | 'dead' | 'unseen'> {
  const [, digits, namespace = '', start, token] = NAME.exec(name) ?? []
  const pid = Number(digits)
  if (digits === undefined || !Number.isSafeInteger(pid) || !ENDING.test(name)) return 'alive'
  if (token === TOKEN) return 'dead'
  const life = lifeOf({ pid, namespace, start: start ?? '' })
  if (life !== 'unknown') return life
  // This process writes no such names: it was another one, with our pid.
  if (start === undefined && namespace === THIS_PROCESS.namespace) return 'dead'
  // Gone already: nothing to remove.
  const found = await stat(path).catch(() => null)
  return found !== null && Date.now() - found.mtimeMs > UNSEEN_MS ? 'unseen' : 'alive'
}
