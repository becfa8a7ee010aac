import { realpath } from 'node:fs/promises'
import path from 'node:path'
import type { BackendOptions } from '@stored/core'
import { type Address, type Addressed, checkApart, overlapOf, StorageError } from '@stored/core/backend'
import type { BackendConfig, UntypedConfig } from '../config.ts'
import { resolveBackend } from './resolve-backend.ts'

/** Where the driver `fs` keeps what is its own, below its root: no key leads there. */
const RESERVED = `.stored${path.sep}`

/**
 * The backends of a configuration that was checked, made and not opened.
 *
 * @throws {StorageError} INVALID_ARGUMENT, MISCONFIGURED: the configuration; two backends are one place, or one of them lies inside
 *   the other; the store lies among the blobs of a backend, or they in it.
 */
export async function resolveBackends<Name extends string>(
  config: UntypedConfig & { readonly backends: Readonly<Record<Name, BackendConfig>> },
): Promise<Record<Name, BackendOptions>> {
  const backends = {} as Record<Name, BackendOptions>
  for (const name of Object.keys(config.backends) as Name[])
    backends[name] = await resolveBackend(name, config.backends[name] as BackendConfig)
  await checkPlaces(backends, config.path)
  return backends
}

async function checkPlaces(backends: Readonly<Record<string, BackendOptions>>, directory: string): Promise<void> {
  const store = await addressOf(directory)
  const before: Addressed[] = []
  for (const [name, { backend }] of Object.entries(backends)) {
    const at = { op: 'open', backend: name }
    const addressed = { name, address: backend?.address }
    checkApart(addressed, before, at)
    if (isAmong(store, addressed.address))
      throw new StorageError('MISCONFIGURED', at, {
        detail: `backend ${JSON.stringify(name)} and the directory of the store, ${directory}, lie one in the other; move one of them out`,
      })
    before.push(addressed)
  }
}

function isAmong(store: Address, backend: Address | undefined): boolean {
  const overlap = overlapOf(store, backend)
  if (overlap !== 'inside' || backend === undefined) return overlap !== null
  return !store.path.startsWith(backend.path + RESERVED)
}

/** As the driver `fs` has it: with links followed as far as the directory is there. It is on a local disk. */
async function addressOf(directory: string): Promise<Address> {
  for (let there = path.resolve(directory), rest = ''; ; ) {
    try {
      return { host: 'file', path: path.join(await realpath(there), rest, path.sep) }
    } catch (error) {
      // What else ails it the store says when it is opened.
      if (there === path.dirname(there)) throw error
      rest = path.join(path.basename(there), rest)
      there = path.dirname(there)
    }
  }
}
