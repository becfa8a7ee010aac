import { randomUUID } from 'node:crypto'
import { open, realpath, rename, rm, stat } from 'node:fs/promises'
import path from 'node:path'
import { StorageError } from '@stored/core/backend'
import { findNodeAtLocation, type Node } from 'jsonc-parser'
import { declaredBy } from '../drivers.ts'
import type { Lookup } from '../find-module.ts'
import { checkTree } from './check.ts'
import { declarationsOf, hideSecrets, isModule } from './declared.ts'
import { configError, fileError, reasonOf } from './error.ts'
import { readText } from './files.ts'
import { appendChild, removeChild } from './insert.ts'
import { own, STORE_OPTIONS } from './options.ts'
import { hasInlineSecret } from './secrets.ts'
import { lineAt, parseConfigText, parseNodes } from './text.ts'
import { type Branch, backendsOf } from './tree.ts'

const SCHEMA = './node_modules/@stored/node/stored.schema.json'

/** Options for adding a backend to a configuration file. */
export interface AddOptions {
  /**
   * Where relative paths of the new backend start; they are written relative to the file. @default the directory of the
   * file
   */
  readonly cwd?: string
}

/**
 * Adds a backend to a JSON configuration file. Comments and layout stay; a file with a secret becomes readable only by
 * its owner. The file is replaced atomically.
 *
 * @throws {StorageError} ALREADY_EXISTS: it has a backend of that name · INVALID_ARGUMENT: the result would not be a
 *   valid configuration · UNSUPPORTED: the configuration is a program · MISCONFIGURED, PERMISSION_DENIED: it cannot be
 *   read or written.
 */
export async function addBackendToFile(
  file: string,
  name: string,
  config: Readonly<Record<string, unknown>>,
  { cwd }: AddOptions = {},
): Promise<void> {
  const directory = path.dirname(path.resolve(file))
  const added = cwd === undefined ? config : await rebase(config, directory, cwd)
  return editFile(file, (text, root, shown) => {
    const backends = findNodeAtLocation(root, ['backends'])
    const former = findNodeAtLocation(root, ['backends', name])
    if (former) {
      const detail = `${shown}:${lineAt(text, former.offset)}: there is a backend ${JSON.stringify(name)}`
      throw new StorageError('ALREADY_EXISTS', { op: 'config', backend: name }, { detail })
    }
    return backends
      ? appendChild(text, backends, JSON.stringify(name), added)
      : appendChild(text, root, '"backends"', { [name]: added })
  })
}

/** Rewrites paths relative to `cwd` as relative to `directory`: those that `loadConfig` resolves. */
async function rebase(
  config: Readonly<Record<string, unknown>>,
  directory: string,
  cwd: string,
): Promise<Readonly<Record<string, unknown>>> {
  const moved = (text: string): string => pathFrom(directory, path.resolve(cwd, text))
  const driver = isModule(config.driver) ? path.resolve(cwd, config.driver) : String(config.driver)
  const { paths } = await declaredBy(driver, namedAt(directory))
  const entries = Object.entries(config).map(([option, value]) => {
    if (isReferenceToFile(value))
      return [option, { file: path.isAbsolute(value.file) ? value.file : moved(value.file) }]
    const isRelative = typeof value === 'string' && !path.isAbsolute(value)
    const isPath = option === 'driver' ? isModule(value) : isRelative && paths.includes(option)
    return [option, isPath ? moved(value as string) : value]
  })
  return Object.fromEntries(entries)
}

function isReferenceToFile(value: unknown): value is { readonly file: string } {
  if (typeof value !== 'object' || value === null || Object.keys(value).length !== 1) return false
  return 'file' in value && typeof value.file === 'string'
}

/** With a leading dot: a driver's path needs one, and it does no harm elsewhere. */
function pathFrom(directory: string, file: string): string {
  const relative = path.relative(directory, file).replaceAll(path.sep, '/')
  return relative.startsWith('.') ? relative : `./${relative}`
}

/**
 * Removes a backend from a JSON configuration file, and from its `defaultBackends`. Comments stay, including those
 * about it.
 *
 * @throws {StorageError} NOT_FOUND: it has no backend of that name · and what `addBackendToFile` throws.
 */
export function removeBackendFromFile(file: string, name: string): Promise<void> {
  return editFile(file, (text, root, shown) => {
    const backend = findNodeAtLocation(root, ['backends', name])?.parent
    if (!backend) {
      const detail = `${shown}: there is no backend ${JSON.stringify(name)}`
      throw new StorageError('NOT_FOUND', { op: 'config', backend: name }, { detail })
    }
    const without = removeChild(text, backend)
    const defaults = findNodeAtLocation(parseNodes(without, { shown }), ['defaultBackends'])
    const named = defaults?.children?.find(({ value }) => value === name)
    return named ? removeChild(without, named) : without
  })
}

/** The text of a JSON configuration file, with a comment on each option. @throws {StorageError} INVALID_ARGUMENT. */
export function newConfigText(config: Readonly<Record<string, unknown>>): string {
  const parts = Object.entries(config)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => {
      const about = own(STORE_OPTIONS, name)?.about
      const json = `"${name}": ${JSON.stringify(value, undefined, 2)}`
      return [...(about ? [`// ${about}`] : []), ...json.split('\n')].map((line) => `  ${line}`).join('\n')
    })
  const head = `  // Relative paths start from the directory of this file.\n  "$schema": ${JSON.stringify(SCHEMA)}`
  const text = `{\n${[head, ...parts].join(',\n')}\n}\n`
  requireValid(text, 'stored.config.json')
  return text
}

/**
 * Writes a new configuration file that only its owner can read.
 *
 * @throws {StorageError} ALREADY_EXISTS: the file exists · INVALID_ARGUMENT · MISCONFIGURED, PERMISSION_DENIED: it
 *   cannot be written.
 */
export async function createConfigFile(file: string, config: Readonly<Record<string, unknown>>): Promise<void> {
  const text = newConfigText(config)
  try {
    await writeNew(file, text, 0o600)
  } catch (cause) {
    if (reasonOf(cause) !== 'EEXIST') throw unwritable(file, cause)
    throw new StorageError('ALREADY_EXISTS', { op: 'config' }, { detail: `${file} exists`, cause })
  }
}

async function editFile(file: string, edit: (text: string, root: Node, shown: string) => string): Promise<void> {
  const shown = path.basename(file)
  if (!/\.jsonc?$/.test(file))
    throw new StorageError('UNSUPPORTED', { op: 'config' }, { detail: `${shown} is a program: edit it by hand` })
  const before = await readText(file, { shown })
  parseConfigText(before, { shown, base: '' })
  const after = edit(before, parseNodes(before, { shown }), shown)
  const directory = path.dirname(path.resolve(file))
  const tree = requireValid(after, shown, directory)
  hideSecrets(await declarationsOf(tree, namedAt(directory)))
  const hasSecret = backendsOf(tree).some(([, backend]) => hasInlineSecret(backend))
  await replaceFile(file, after, hasSecret)
}

/** A file to be edited was named by the caller. */
function namedAt(directory: string): Lookup {
  return { directory, isNamed: true }
}

/** @param base The directory that relative paths start from. */
function requireValid(text: string, shown: string, base = ''): Branch {
  const tree = parseConfigText(text, { shown, base })
  tree.children.delete('$schema')
  const faults = checkTree(tree)
  if (faults.length > 0) throw configError('INVALID_ARGUMENT', faults)
  return tree
}

/** Writes to the target of a link, so that the link stays one. */
async function replaceFile(link: string, text: string, hasSecret: boolean): Promise<void> {
  try {
    const file = await realpath(link)
    const temp = `${file}.${randomUUID()}`
    try {
      const { mode } = await stat(file)
      await writeNew(temp, text, hasSecret ? 0o600 : mode & 0o777)
      await rename(temp, file)
    } catch (error) {
      await rm(temp, { force: true })
      throw error
    }
  } catch (error) {
    throw unwritable(link, error)
  }
}

async function writeNew(file: string, text: string, mode: number): Promise<void> {
  await using handle = await open(file, 'wx', mode)
  await handle.writeFile(text)
  await handle.sync()
}

function unwritable(file: string, error: unknown): StorageError {
  return fileError(file, 'cannot be written', error)
}
