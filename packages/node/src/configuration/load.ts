import { stat } from 'node:fs/promises'
import path from 'node:path'
import type { StorageErrorCode } from '@stored/core/backend'
import type { BackendConfig, StoreConfig } from '../config.ts'
import type { Lookup } from '../find-module.ts'
import { checkTree } from './check.ts'
import { type Declarations, declarationsOf, hideSecrets, isModule } from './declared.ts'
import { configVariables, FILE_VARIABLE, readEnvironment, readOverrides } from './environment.ts'
import { codeOf, configError } from './error.ts'
import { fileName, findConfigFile, isJson, readConfigFile } from './files.ts'
import { BACKEND_NAME, type Options, own, STORE_OPTIONS } from './options.ts'
import { type Origin, originsOf } from './origins.ts'
import { checkOwners } from './owners.ts'
import { rememberPlaces } from './places.ts'
import { type Env, hasInlineSecret, resolveSecrets } from './secrets.ts'
import {
  type Branch,
  backendNames,
  backendsOf,
  type Entry,
  emptyBranch,
  type Fault,
  isBranch,
  type Place,
  toValue,
} from './tree.ts'

/** How to find a configuration. */
export interface LoadOptions {
  /**
   * Where the upward search for a file starts; relative paths in variables and flags start here too. @default
   * process.cwd()
   */
  readonly cwd?: string | undefined
  /** The configuration file. Overrides `STORED_CONFIG` and the search. */
  readonly file?: string | undefined
  /** `file` was found rather than named: it is used only if no other user could have written it. @default false */
  readonly isFound?: boolean
  /** @default process.env */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined
  /** Overrides file and environment: `{ 'cache.maxSize': '2GB' }`. A text is parsed like that of a variable. */
  readonly overrides?: Readonly<Record<string, unknown>> | undefined
}

/** A configuration, and where it came from. */
export interface LoadedConfig {
  /** Validated, with absolute paths and resolved secrets: the input of `openStore`. */
  readonly config: StoreConfig
  /** `null`: everything came from the environment and from flags. */
  readonly file: string | null
  /** Every value, and where it came from. */
  readonly origins: readonly Origin[]
  /** For people: things that work but should be changed. */
  readonly warnings: readonly string[]
}

/**
 * Loads the configuration: a file, then `STORED_*` variables, then flags, each overriding the one before. Opens
 * nothing. Loads the modules of installed drivers for their option lists.
 *
 * @throws {StorageError} PERMISSION_DENIED: the file was found, and another user could have written it; or its files
 *   may not be read · MISCONFIGURED: there is none, or it cannot be read · INVALID_ARGUMENT: all unknown options and
 *   values of a wrong type, one per line. No message contains a value.
 */
export async function loadConfig(options: LoadOptions = {}): Promise<LoadedConfig> {
  const { env = process.env, overrides = {} } = options
  const cwd = path.resolve(options.cwd ?? '')
  const { file, isNamed } = await sourceOf(options, cwd)
  const tree = file === null ? startEmpty(cwd, env, overrides) : await readConfigFile(file, fileName(file, cwd))
  // Only for editors.
  tree.children.delete('$schema')
  const misplaced = [...readEnvironment(tree, env, cwd), ...readOverrides(tree, overrides, cwd)]
  refuse('INVALID_ARGUMENT', [...misplaced, ...checkTree(tree)])
  const lookup = { directory: file === null ? cwd : path.dirname(file), isNamed }
  const declarations = await declarationsOf(tree, lookup)
  hideSecrets(declarations)
  const warnings = file === null ? [] : await warningsOf(tree, file, fileName(file, cwd).shown)
  makePathsAbsolute(tree, declarations)
  const unresolved = await resolveBackendSecrets(tree, env, declarations)
  refuse(codeOf(unresolved), unresolved)
  return { config: toConfig(tree, lookup), file, origins: originsOf(tree), warnings }
}

/**
 * The names of the backends in a JSON configuration and in the environment. Runs no code, neither of drivers nor of a
 * configuration that is a program, whose backends are left out, and reads only the names.
 *
 * @throws {StorageError} As `loadConfig`.
 */
export async function listBackendNames(options: LoadOptions = {}): Promise<string[]> {
  const { env = process.env } = options
  const cwd = path.resolve(options.cwd ?? '')
  const { file } = await sourceOf(options, cwd)
  const isData = file !== null && isJson(file)
  const tree = isData ? await readConfigFile(file, fileName(file, cwd)) : emptyBranch(environmentAt(cwd))
  readEnvironment(tree, env, cwd)
  return backendNames(tree).filter((name) => BACKEND_NAME.test(name))
}

interface Source {
  readonly file: string | null
  readonly isNamed: boolean
}

/** @throws {StorageError} PERMISSION_DENIED: it was found, and another user could have written it. */
async function sourceOf({ file, isFound = false, env = process.env }: LoadOptions, cwd: string): Promise<Source> {
  const named = file ?? (env[FILE_VARIABLE] || undefined)
  const found = named === undefined ? await findConfigFile(cwd) : path.resolve(cwd, named)
  const isNamed = named !== undefined && !isFound
  if (found !== null && !isNamed) await checkOwners([found], { op: 'config' })
  return { file: found, isNamed }
}

function startEmpty(cwd: string, env: NonNullable<LoadOptions['env']>, overrides: object): Branch {
  if (configVariables(env).length + Object.keys(overrides).length > 0) return emptyBranch(environmentAt(cwd))
  const text = 'no stored.config.json, .ts, .js or .mjs here or above, and no STORED_* variable'
  throw configError('MISCONFIGURED', [{ where: cwd, text }])
}

function environmentAt(cwd: string): Place {
  return { from: 'environment', where: 'environment', base: cwd }
}

function refuse(code: StorageErrorCode, faults: readonly Fault[]): void {
  if (faults.length > 0) throw configError(code, faults)
}

async function resolveBackendSecrets(tree: Branch, env: Env, declarations: Declarations): Promise<Fault[]> {
  const faults: Fault[] = []
  for (const [name, backend] of backendsOf(tree)) {
    if (!isBranch(backend)) continue
    const { secrets = [] } = declarations.get(backend) ?? {}
    faults.push(...(await resolveSecrets(backend, `backends.${name}`, env, secrets)))
  }
  return faults
}

async function warningsOf(tree: Branch, file: string, shown: string): Promise<string[]> {
  if (!backendsOf(tree).some(([, backend]) => hasInlineSecret(backend))) return []
  const { mode } = await stat(file)
  // Windows has no such modes.
  if (process.platform === 'win32' || (mode & 0o077) === 0) return []
  const rights = (mode & 0o777).toString(8).padStart(4, '0')
  return [`${shown} holds a secret and others may read it (mode ${rights}): chmod 600 ${shown}`]
}

function makePathsAbsolute(tree: Branch, declarations: Declarations): void {
  resolvePaths(tree, STORE_OPTIONS)
  for (const [backend, { paths }] of declarations) {
    const driver = backend.children.get('driver')
    if (driver && isModule(toValue(driver))) resolvePath(backend, 'driver')
    for (const option of paths) resolvePath(backend, option)
  }
}

function resolvePaths(branch: Branch, options: Options): void {
  for (const [name, entry] of branch.children) {
    const option = own(options, name)
    if (option?.is === 'path') resolvePath(branch, name)
    if (option?.options && isBranch(entry)) resolvePaths(entry, option.options)
  }
}

function resolvePath(branch: Branch, name: string): void {
  const entry = branch.children.get(name)
  if (entry === undefined || isBranch(entry) || typeof entry.value !== 'string' || entry.value === '') return
  branch.children.set(name, { ...entry, value: path.resolve(entry.base, entry.value) })
}

function toConfig(tree: Branch, lookup: Lookup): StoreConfig {
  const config = toValue(tree) as StoreConfig
  for (const [name, backend] of backendsOf(tree)) {
    const whereOf = (option?: string) => placeOf(backend, option).where
    rememberPlaces(config.backends[name] as BackendConfig, { lookup, whereOf })
  }
  return config
}

function placeOf(backend: Entry, option: string | undefined): Entry {
  const entry = isBranch(backend) && option !== undefined ? backend.children.get(option) : undefined
  return entry ?? backend
}
