import type { StoreD } from '@stored/core'
import { tellBackendLog } from '../backends/backend-log.ts'
import { configuredBackend } from '../backends/configured-backend.ts'
import { Fault } from '../errors/fault.ts'
import { type LoadedConfig, loadConfiguration } from './configuration.ts'
import type { Context } from './context.ts'
import { isStore } from './store-directory.ts'

/**
 * Opens the store of this invocation.
 *
 * @param o.sync Whether this process may sync it if no other one does.
 * @throws {Fault} NO_STORE.
 */
export async function openSession(context: Context, { sync }: { sync: boolean }): Promise<StoreD> {
  const store = await openConfigured(await loadConfiguration(context), { sync })
  tellBackendLog(store, context.out)
  return store
}

/** The same for a configuration that is already loaded. */
export async function openConfigured({ config }: LoadedConfig, { sync }: { sync: boolean }): Promise<StoreD> {
  if (!(await isStore(config.path)))
    throw new Fault('NO_STORE', `there is no store at ${config.path}; stored init makes one`)
  const { openStore } = await import('@stored/node')
  return openStore({ ...config, sync: sync && config.sync !== false })
}

/** The medium that the store remembers for a backend. Opens only this backend: another one may be the broken one. */
export async function mediumOf(loaded: LoadedConfig, name: string): Promise<string | undefined> {
  const { config } = loaded
  if (!(await isStore(config.path))) return undefined
  const backends = { [name]: configuredBackend(loaded, name) }
  const alone = { ...loaded, config: { ...config, backends, defaultBackends: [name] } }
  await using store = await openConfigured(alone, { sync: false })
  return (await store.getBackend(name)).medium
}
