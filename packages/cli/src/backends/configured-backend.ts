import { unknownName } from '@stored/core/backend'
import type { LoadedConfig } from '../session/configuration.ts'

/** @throws {StorageError} INVALID_ARGUMENT: no backend has that name. */
export function configuredBackend({ config }: LoadedConfig, name: string): LoadedConfig['config']['backends'][string] {
  const backend = Object.hasOwn(config.backends, name) ? config.backends[name] : undefined
  if (backend === undefined) throw unknownName('backend', name, Object.keys(config.backends), { op: 'config' })
  return backend
}
