import { realpath } from 'node:fs/promises'
import path from 'node:path'
import type { Addressed, BackendOptions, OwnPlace } from '@stored/core'
import type { Address } from '@stored/core/backend'
import { cacheOptions } from '../check-config.ts'
import type { BackendConfig, UntypedConfig } from '../config.ts'
import { resolveBackend } from './resolve-backend.ts'

/**
 * Constructs the backends of a validated configuration without opening them.
 *
 * @throws {StorageError} INVALID_ARGUMENT, MISCONFIGURED: the configuration is wrong; two backends are the same place,
 *   or one is inside the other; the store or its read cache is inside the root of a backend, or contains it.
 */
export async function resolveBackends<Name extends string>(
  config: UntypedConfig & { readonly backends: Readonly<Record<Name, BackendConfig>> },
): Promise<Record<Name, BackendOptions>> {
  const backends = {} as Record<Name, BackendOptions>
  for (const name of Object.keys(config.backends) as Name[])
    backends[name] = await resolveBackend(name, config.backends[name] as BackendConfig)
  await checkPlaces(backends, config)
  return backends
}

/** The directories of a store: its own, and that of its read cache if it is elsewhere. */
export async function ownPlaces({
  path: directory,
  cache,
}: Pick<UntypedConfig, 'path' | 'cache'>): Promise<OwnPlace[]> {
  const store = await addressOf(directory)
  const own: OwnPlace[] = [{ what: 'the directory of the store', address: store, mayBeReserved: true }]
  const cached = cacheOptions(cache, path.resolve(directory))
  if (cached === null) return own
  const address = await addressOf(cached.location)
  return address.path.startsWith(store.path) ? own : [...own, { what: 'the read cache', address }]
}

async function checkPlaces(backends: Readonly<Record<string, BackendOptions>>, config: UntypedConfig): Promise<void> {
  // Imported late: shell completion reads a configuration, and needs no store.
  const { checkApart, checkOutside } = await import('@stored/core')
  const own = await ownPlaces(config)
  const before: Addressed[] = []
  for (const [name, { backend }] of Object.entries(backends)) {
    const at = { op: 'open', backend: name }
    const addressed = { name, address: backend?.address }
    checkApart(addressed, before, at)
    checkOutside(addressed, own, at)
    before.push(addressed)
  }
}

/** The same as the driver `fs` computes: links are followed as far as the directory exists. It is on a local disk. */
async function addressOf(directory: string): Promise<Address> {
  for (let there = path.resolve(directory), rest = ''; ; ) {
    try {
      return { host: 'file', path: path.join(await realpath(there), rest, path.sep) }
    } catch (error) {
      // Opening the store reports any other fault.
      if (there === path.dirname(there)) throw error
      rest = path.join(path.basename(there), rest)
      there = path.dirname(there)
    }
  }
}
