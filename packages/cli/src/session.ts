import { access } from 'node:fs/promises'
import path from 'node:path'
import type { StoreD } from '@stored/core'
import { type LoadedConfig, loadConfiguration } from './configuration.ts'
import { configuredBackend } from './configured-backend.ts'
import type { Context } from './context.ts'
import { Fault } from './fault.ts'

/** What a store has as soon as it was made. */
const INDEX = 'index.mdb'

/**
 * Opens the store of this call.
 *
 * @param o.sync Whether this process may sync it, where no other one does.
 * @throws {Fault} NO_STORE.
 */
export async function openSession(context: Context, { sync }: { sync: boolean }): Promise<StoreD> {
  return openConfigured(await loadConfiguration(context), { sync })
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

export async function isStore(directory: string): Promise<boolean> {
  try {
    await access(path.join(directory, INDEX))
    return true
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return false
    throw error
  }
}
