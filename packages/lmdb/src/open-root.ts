import { setTimeout } from 'node:timers/promises'
import { type Key, openAsClass, type RootDatabase, type RootDatabaseOptions } from 'lmdb'
import { lockedError } from './lock-file.ts'
import { rehearse } from './rehearse.ts'

const EINVAL = 22
const TRIES = 30
const MAX_WAIT_MS = 64
/** By which lmdb-js tells the database that closes the file when it is closed. */
const ROOT = { isRoot: true } as const

/** What `openAsClass` returns; its own type cannot be constructed. */
type RootClass<V, K extends Key> = new (name: null, options: RootDatabaseOptions) => RootDatabase<V, K>

/** How LMDB's files are made. */
export interface RootFile {
  readonly file: string
  /** Of the file and its lock file, where they are made now. */
  readonly mode: number
}

/**
 * Opens a file of LMDB's, anew where its locks were destroyed: the last process that closes the file destroys them, also when
 * another one waits at this moment to open it. They stay so until all that share them have closed the file.
 *
 * @throws {StorageError} UNAVAILABLE: another program holds a lock on it.
 * @see mdb_env_close_active() in mdb.c of lmdb 3.5.6; OpenLDAP took it back as ITS#10095
 */
export async function openRoot<V, K extends Key>(
  { file, mode }: RootFile,
  options: RootDatabaseOptions,
): Promise<RootDatabase<V, K>> {
  await rehearse(file, mode)
  const root = await openAgain<V, K>(file, options)
  if (!hasOwnPlace(root)) return takePlace(file, root)
  // A process before us that had our pid was killed. LMDB takes its places for ours: it frees them only as we close the file.
  await (await takePlace(file, root)).close()
  return takePlace(file, await openAgain<V, K>(file, options))
}

async function openAgain<V, K extends Key>(file: string, options: RootDatabaseOptions): Promise<RootDatabase<V, K>> {
  for (let tries = 1; ; tries++) {
    const Root = openAsClass<V, K>({ ...options, path: file }) as unknown as RootClass<V, K>
    try {
      return new Root(null, { ...options, ...ROOT })
    } catch (error) {
      // The file is open, and there is no object yet that could close it.
      await Object.assign(Object.create(Root.prototype) as RootDatabase<V, K>, ROOT).close()
      if ((error as { code?: unknown }).code !== EINVAL) throw error
      if (tries === TRIES) throw await lockedError(file, error)
    }
    await setTimeout(Math.random() * Math.min(2 ** tries, MAX_WAIT_MS))
  }
}

/** Whether the table of readers has a place of our pid, though this process has read nothing yet. */
function hasOwnPlace(root: RootDatabase<unknown, Key>): boolean {
  return new RegExp(`^ *${process.pid} `, 'm').test(root.readerList())
}

/** Now, and for good: lmdb-js fails to read, with an error that says nothing, where our pid is locked in the lock file. */
async function takePlace<V, K extends Key>(file: string, root: RootDatabase<V, K>): Promise<RootDatabase<V, K>> {
  try {
    root.useReadTransaction().done()
    root.resetReadTxn()
    return root
  } catch (error) {
    await root.close()
    throw error instanceof TypeError ? await lockedError(file, error) : error
  }
}
