import { setTimeout } from 'node:timers/promises'
import { type Key, openAsClass, type RootDatabase, type RootDatabaseOptions } from 'lmdb'
import { rehearse } from './rehearse.ts'

const EINVAL = 22
const TRIES = 30
const MAX_WAIT_MS = 64
/** By which lmdb-js tells the database that closes the file when it is closed. */
const ROOT = { isRoot: true } as const

/** What `openAsClass` returns; its own type cannot be constructed. */
type RootClass<V, K extends Key> = new (name: null, options: RootDatabaseOptions) => RootDatabase<V, K>

/**
 * Opens a file of LMDB's, anew where its locks were destroyed: the last process that closes the file destroys them, also when
 * another one waits at this moment to open it. They stay so until all that share them have closed the file.
 *
 * @see mdb_env_close_active() in mdb.c of lmdb 3.5.6; OpenLDAP took it back as ITS#10095
 */
export async function openRoot<V, K extends Key>(
  file: string,
  options: RootDatabaseOptions,
): Promise<RootDatabase<V, K>> {
  await rehearse(file)
  for (let tries = 1; ; tries++) {
    const Root = openAsClass<V, K>({ ...options, path: file }) as unknown as RootClass<V, K>
    try {
      return new Root(null, { ...options, ...ROOT })
    } catch (error) {
      // The file is open, and there is no object yet that could close it.
      await Object.assign(Object.create(Root.prototype) as RootDatabase<V, K>, ROOT).close()
      if (tries === TRIES || (error as { code?: unknown }).code !== EINVAL) throw error
    }
    await setTimeout(Math.random() * Math.min(2 ** tries, MAX_WAIT_MS))
  }
}
