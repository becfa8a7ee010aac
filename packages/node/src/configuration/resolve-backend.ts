import path from 'node:path'
import type { BackendOptions } from '@stored/core'
import type { StorageBackend } from '@stored/core/backend'
import { describeType, nearest, StorageError } from '@stored/core/backend'
import type { BackendConfig, NamedDriver } from '../config.ts'
import { makeBackend } from '../drivers.ts'
import type { Lookup } from '../find-module.ts'
import { expectType, invalid } from '../invalid.ts'
import { BACKEND_OPTIONS } from './options.ts'
import { placesOf } from './places.ts'

const STORE_SIDE = Object.keys(BACKEND_OPTIONS)

/** What the store needs to know about a configured backend. */
export async function resolveBackend(name: string, config: BackendConfig): Promise<BackendOptions> {
  expectType(`backends.${name}`, config, 'object', describeType(config) === 'object')
  if (isBackend(config)) return { backend: config }
  if (!('driver' in config)) {
    if (!('backend' in config)) throw invalid(`backends.${name} needs a "driver", or a "backend"`)
    return config as BackendOptions
  }
  const { driver, ...options } = config
  expectType(`backends.${name}.driver`, driver, 'string', typeof driver === 'string')
  const storeSide: Record<string, unknown> = {}
  const driverSide: Record<string, unknown> = { ...options }
  for (const option of STORE_SIDE) {
    if (!(option in options)) continue
    storeSide[option] = options[option]
    delete driverSide[option]
  }
  try {
    return { ...storeSide, backend: await makeBackend(name, driver as string, driverSide, lookupOf(config)) }
  } catch (error) {
    throw locate(error, name, config)
  }
}

/** A program that names a file means it; what it finds from the working directory may be anyone's. */
function lookupOf(config: NamedDriver): Lookup {
  return placesOf(config)?.lookup ?? { directory: process.cwd(), isNamed: path.isAbsolute(config.driver) }
}

/** A driver does not know the name of its backend, the store's options, or where it was configured. */
function locate(error: unknown, name: string, config: NamedDriver): unknown {
  if (!StorageError.is(error) || error.detail === undefined) return error
  const { code, detail } = error
  const named = Object.keys(config).find((each) => detail.includes(JSON.stringify(each)))
  const option = named ?? (code === 'MISCONFIGURED' ? 'driver' : undefined)
  const best = option === undefined || detail.includes('did you mean') ? undefined : nearest(option, STORE_SIDE)
  const where = placesOf(config)?.whereOf(option)
  const hint =
    detail.startsWith('unknown option') && best !== undefined ? `; did you mean ${JSON.stringify(best)}?` : ''
  // A flag names the backend.
  const subject = where?.startsWith(`--backends.${name}`) ? [] : [`backends.${name}`]
  const located = [...(where === undefined ? [] : [where, ...subject]), `${detail}${hint}`].join(': ')
  return new StorageError(code, { op: 'open', backend: name }, { cause: error, detail: located })
}

/** Not with `instanceof`: a driver may bring its own copy of the contract. */
function isBackend(config: BackendConfig): config is StorageBackend {
  return 'put' in config && typeof config.put === 'function'
}
