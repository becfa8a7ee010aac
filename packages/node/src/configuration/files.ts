import { readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { configError, fileError } from './error.ts'
import { readShort } from './short-file.ts'
import { type FileName, parseConfigText } from './text.ts'
import { type Branch, entryOf, isBranch, typeOf } from './tree.ts'

const NAME = 'stored.config'
const EXTENSIONS = ['.json', '.ts', '.js', '.mjs']

/**
 * The configuration file of `directory`, or of the nearest directory above that has one; `null` if there is none.
 *
 * @throws {StorageError} MISCONFIGURED: a directory has several.
 */
export async function findConfigFile(directory: string): Promise<string | null> {
  const names = EXTENSIONS.map((extension) => NAME + extension)
  for (let at = path.resolve(directory); ; at = path.dirname(at)) {
    // A directory that may be traversed but not listed is skipped.
    const found = (await readdir(at).catch(() => [])).filter((name) => names.includes(name)).sort()
    const [first, second] = found
    if (second) throw configError('MISCONFIGURED', [{ where: at, text: `found ${found.join(' and ')}: keep one` }])
    if (first) return path.join(at, first)
    if (path.dirname(at) === at) return null
  }
}

/** The name that a user in `cwd` would write. */
export function fileName(file: string, cwd: string): FileName {
  const relative = path.relative(cwd, file)
  return { shown: relative !== '' && relative.length < file.length ? relative : file, base: path.dirname(file) }
}

/** Whether a configuration file is data rather than a program. */
export function isJson(file: string): boolean {
  return ['.json', '.jsonc'].includes(path.extname(file))
}

/**
 * @throws {StorageError} MISCONFIGURED: it cannot be read, or does not contain a configuration · PERMISSION_DENIED:
 *   reading it is not permitted.
 */
export async function readConfigFile(file: string, name: FileName): Promise<Branch> {
  if (isJson(file)) return parseConfigText(await readText(file, name), name)
  if (!EXTENSIONS.includes(path.extname(file))) {
    const text = `a configuration file ends in ${EXTENSIONS.join(', ')}`
    throw configError('MISCONFIGURED', [{ where: name.shown, text }])
  }
  return importConfig(file, name)
}

/** @throws {StorageError} MISCONFIGURED: it cannot be read · PERMISSION_DENIED: reading it is not permitted. */
export async function readText(file: string, { shown }: Pick<FileName, 'shown'>): Promise<string> {
  try {
    return await readShort(file)
  } catch (error) {
    throw fileError(shown, 'cannot be read', error)
  }
}

async function importConfig(file: string, { shown, base }: FileName): Promise<Branch> {
  // `import` would also report a missing module, which may be another one.
  await stat(file).catch((error) => {
    throw fileError(shown, 'cannot be read', error)
  })
  const module = await importModule(file, shown)
  const tree = entryOf(module.config, { from: 'file', where: shown, base })
  if (isBranch(tree) && !tree.isList) return tree
  const text = 'config' in module ? `"config" must be an object, not ${typeOf(tree)}` : 'it exports no "config"'
  throw configError('MISCONFIGURED', [{ where: shown, text }])
}

async function importModule(file: string, shown: string): Promise<Record<string, unknown>> {
  try {
    return (await import(pathToFileURL(file).href)) as Record<string, unknown>
  } catch (error) {
    throw fileError(shown, 'cannot be loaded', error)
  }
}
