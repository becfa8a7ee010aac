import { readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import type { StoreD } from '@stored/core'
import { tellBackendLog } from './backend-log.ts'
import { type LoadedConfig, loadConfiguration } from './configuration.ts'
import { configuredBackend } from './configured-backend.ts'
import type { Context } from './context.ts'
import { Fault } from './fault.ts'

/** What a store has as soon as it was made. */
const INDEX = 'index.mdb'
/** Of a file that holds staged bytes. */
const STAGED = /^\d+[.-]/

/**
 * Opens the store of this call.
 *
 * @param o.sync Whether this process may sync it, where no other one does.
 * @throws {Fault} NO_STORE.
 */
export async function openSession(context: Context, { sync }: { sync: boolean }): Promise<StoreD> {
  const store = await openConfigured(await loadConfiguration(context), { sync })
  tellBackendLog(store, context.out)
  return store
}

/** The same, of a configuration that was loaded before. */
export async function openConfigured({ config }: LoadedConfig, { sync }: { sync: boolean }): Promise<StoreD> {
  if (!(await isStore(config.path)))
    throw new Fault('NO_STORE', `there is no store at ${config.path}; stored init makes one`)
  const { openStore } = await import('@stored/node')
  return openStore({ ...config, sync: sync && config.sync !== false })
}

/** What the store remembers lies at a backend. It alone is opened: another one may be what does not work. */
export async function mediumOf(loaded: LoadedConfig, name: string): Promise<string | undefined> {
  const { config } = loaded
  if (!(await isStore(config.path))) return undefined
  const backends = { [name]: configuredBackend(loaded, name) }
  const alone = { ...loaded, config: { ...config, backends, defaultBackends: [name] } }
  await using store = await openConfigured(alone, { sync: false })
  return (await store.getBackend(name)).medium
}

/** Also where no more than staged bytes is left of one: to open it says what to do. */
export async function isStore(directory: string): Promise<boolean> {
  return (await hasIndex(directory)) || (await stagedIn(directory)).length > 0
}

/** Whether there is an index that is not empty. */
export async function hasIndex(directory: string): Promise<boolean> {
  return ((await orWithout(stat(path.join(directory, INDEX)), null))?.size ?? 0) > 0
}

/** Names of the files that hold staged bytes. */
export async function stagedIn(directory: string): Promise<string[]> {
  return (await orWithout(readdir(path.join(directory, 'staging')), [])).filter((name) => STAGED.test(name))
}

async function orWithout<T, U>(found: Promise<T>, otherwise: U): Promise<T | U> {
  try {
    return await found
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return otherwise
    throw error
  }
}
