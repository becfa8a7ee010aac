import type { Driver, ErrorLocation, StorageBackend } from '@stored/core/backend'
import { nearest, StorageError } from '@stored/core/backend'
import { findModule, type Lookup } from './find-module.ts'

/** Drivers of this project, for the hint about a mistyped name. */
const OURS = ['fs', 's3', 'azure', 'sftp', 'rclone']

/**
 * Makes a backend by the name of its driver: `@stored/driver-NAME`, then `stored-driver-NAME`, then NAME itself, which
 * may be a package or a path.
 *
 * @throws {StorageError} MISCONFIGURED: not installed, or not a driver · INVALID_ARGUMENT: an option the driver does
 *   not know · PERMISSION_DENIED: another user could have written it.
 */
export async function makeBackend(
  name: string,
  driver: string,
  options: Readonly<Record<string, unknown>>,
  lookup: Lookup,
): Promise<StorageBackend> {
  const at = { op: 'open', backend: name }
  const module = await importDriver(driver, lookup, at)
  if (!module) throw new StorageError('MISCONFIGURED', at, { detail: missing(driver) })
  const make = module.driver
  if (typeof make !== 'function')
    throw new StorageError('MISCONFIGURED', at, {
      detail: `${JSON.stringify(driver)} is not a driver: it exports no function "driver"`,
    })
  declarationsIn(driver, module, at)
  return (make as Driver)(options)
}

/** What a driver's module declares about its options. @see Driver */
export interface Declared {
  readonly secrets: readonly string[]
  readonly paths: readonly string[]
}

/** Empty if the driver is not installed or cannot be loaded; making a backend with it reports why. */
export async function declaredBy(driver: string, lookup: Lookup): Promise<Declared> {
  const at = { op: 'config' }
  try {
    return declarationsIn(driver, (await importDriver(driver, lookup, at)) ?? {}, at)
  } catch {
    return { secrets: [], paths: [] }
  }
}

function declarationsIn(driver: string, module: Readonly<Record<string, unknown>>, at: ErrorLocation): Declared {
  const names = (list: 'secrets' | 'paths'): readonly string[] => {
    const { [list]: given = [] } = module
    if (Array.isArray(given) && given.every((name) => typeof name === 'string')) return given
    const detail = `${JSON.stringify(driver)} is not a driver: "${list}" is not a list of option names`
    throw new StorageError('MISCONFIGURED', at, { detail })
  }
  return { secrets: names('secrets'), paths: names('paths') }
}

async function importDriver(
  driver: string,
  lookup: Lookup,
  at: ErrorLocation,
): Promise<Readonly<Record<string, unknown>> | null> {
  for (const name of [`@stored/driver-${driver}`, `stored-driver-${driver}`, driver]) {
    const found = await findModule(name, lookup, at)
    if (found === null) continue
    try {
      return (await import(found)) as Record<string, unknown>
    } catch (cause) {
      throw new StorageError('MISCONFIGURED', at, {
        cause,
        detail: `the driver ${JSON.stringify(name)} cannot be loaded`,
      })
    }
  }
  return null
}

function missing(driver: string): string {
  const best = nearest(driver, OURS)
  if (OURS.includes(driver)) return `the driver "${driver}" is not installed: npm install @stored/driver-${driver}`
  const hint = best === undefined ? '' : `; did you mean ${JSON.stringify(best)}?`
  return `no driver ${JSON.stringify(driver)}: tried @stored/driver-${driver}, stored-driver-${driver} and ${driver}${hint}`
}
