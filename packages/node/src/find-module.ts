import { existsSync, readFileSync } from 'node:fs'
import { createRequire, isBuiltin } from 'node:module'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import type { ErrorLocation } from '@stored/core/backend'
import { checkOwners } from './configuration/owners.ts'

/** An ESM-only package has no path for `require`; then `import` decides. */
const NOT_FOUND: ReadonlySet<string> = new Set([
  'MODULE_NOT_FOUND',
  'ERR_MODULE_NOT_FOUND',
  'ERR_INVALID_MODULE_SPECIFIER',
  'ERR_PACKAGE_PATH_NOT_EXPORTED',
])

/** Where modules are looked up from. */
export interface Lookup {
  /** Where the application's packages are. */
  readonly directory: string
  /**
   * The user named the source, and so trusts it. Otherwise only files that no other user could have written are used.
   */
  readonly isNamed: boolean
}

/**
 * The URL of the module `name`, a package or a path, looked up from the directory, then from here; `null` if there is
 * none.
 *
 * @throws {StorageError} PERMISSION_DENIED: another user could have written it.
 */
export async function findModule(
  name: string,
  { directory, isNamed }: Lookup,
  at: ErrorLocation,
): Promise<string | null> {
  // `fs` is also a built-in module of Node.js.
  if (isBuiltin(name)) return null
  const require = createRequire(path.join(directory, 'stored.config.json'))
  const file = unlessAbsent(() => require.resolve(name))
  if (file === null) return unlessAbsent(() => import.meta.resolve(name))
  if (!isNamed) await checkOwners([...wayTo(name, directory, require), file], at)
  return pathToFileURL(file).href
}

/** The files that determine what `name` resolves to: the path itself, or the manifest of the package. */
function wayTo(name: string, directory: string, require: NodeJS.Require): string[] {
  if (name.startsWith('.') || path.isAbsolute(name)) return [path.resolve(directory, name)]
  const packageName = name
    .split('/')
    .slice(0, name.startsWith('@') ? 2 : 1)
    .join('/')
  // Node.js prefers the package that contains a directory to any installed one.
  const own = manifestAbove(directory)
  if (own !== null && nameIn(own) === packageName) return [own]
  const folders = require.resolve.paths(name) ?? []
  const folder = folders.find((each) => existsSync(path.join(each, packageName)))
  // Outside a package it is a file in one of them.
  return folder === undefined ? folders.filter(existsSync) : [path.join(folder, packageName, 'package.json')]
}

function manifestAbove(directory: string): string | null {
  for (let at = directory; ; at = path.dirname(at)) {
    const manifest = path.join(at, 'package.json')
    if (existsSync(manifest)) return manifest
    if (at === path.dirname(at)) return null
  }
}

function nameIn(manifest: string): unknown {
  try {
    return (JSON.parse(readFileSync(manifest, 'utf8')) as { name?: unknown }).name
  } catch {
    return undefined
  }
}

function unlessAbsent<T>(find: () => T): T | null {
  try {
    return find()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== undefined && NOT_FOUND.has(code)) return null
    throw error
  }
}
