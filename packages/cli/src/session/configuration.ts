import type { LoadedConfig } from '@stored/node/config'
import { Fault } from '../errors/fault.ts'
import type { Context } from './context.ts'

export type { LoadedConfig }

/**
 * Loads the configuration for this invocation, with the origin of each option.
 *
 * @param o.isFound `context.configFile` was found rather than named.
 * @throws {Fault} NO_STORE: there is none.
 */
export async function loadConfiguration(
  { configFile, out }: Context,
  { isFound = false }: { readonly isFound?: boolean } = {},
): Promise<LoadedConfig> {
  const { findConfigFile, loadConfig } = await import('@stored/node/config')
  try {
    const loaded = await loadConfig({ file: configFile, isFound })
    for (const warning of loaded.warnings) out.note(`warning: ${warning}`)
    return loaded
  } catch (cause) {
    const isNamed = configFile !== undefined || process.env.STORED_CONFIG
    if (isNamed || hasVariables() || (await findConfigFile(process.cwd())) !== null) throw cause
    throw new Fault('NO_STORE', `no stored.config.json in ${process.cwd()} or above; stored init makes one`, { cause })
  }
}

function hasVariables(): boolean {
  return Object.keys(process.env).some((name) => name.startsWith('STORED_'))
}
