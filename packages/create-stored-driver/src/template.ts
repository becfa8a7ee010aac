import { readdir, readFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { className } from './name.ts'

const DIRECTORY = fileURLToPath(new URL('./template/', import.meta.url))
const OWN_MANIFEST = new URL('../package.json', import.meta.url)

/**
 * npm leaves a .gitignore out of packages, and a manifest inside a package is taken for a mistake, so the build renames
 * both.
 */
const STORED_AS: Readonly<Record<string, string>> = { _gitignore: '.gitignore', '_package.json': 'package.json' }

interface Manifest {
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
}

/**
 * The files of a driver's package, by path. The template is a working driver named `acme`, checked by the rules of this
 * repository like any other source.
 */
export async function renderTemplate(name: string): Promise<Map<string, string>> {
  const versions = await ownVersions()
  const files = new Map<string, string>()
  for (const path of await templateFiles()) {
    const text = rename(await readFile(join(DIRECTORY, path), 'utf8'), name)
    const target = STORED_AS[path] ?? rename(path, name)
    files.set(target, target === 'package.json' ? withVersions(text, versions) : text)
  }
  return files
}

async function templateFiles(): Promise<string[]> {
  const entries = await readdir(DIRECTORY, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(DIRECTORY, join(entry.parentPath, entry.name)))
}

function rename(text: string, name: string): string {
  return text.replaceAll(/acme/gi, (found) => (found === 'acme' ? name : className(name)))
}

/** Packing replaces the workspace versions with those published together with this package. */
async function ownVersions(): Promise<Readonly<Record<string, string>>> {
  const { devDependencies = {} } = JSON.parse(await readFile(OWN_MANIFEST, 'utf8')) as Manifest
  return devDependencies
}

function withVersions(text: string, versions: Readonly<Record<string, string>>): string {
  const { peerDependencies, devDependencies, ...manifest } = JSON.parse(text) as Manifest
  const pinned = {
    ...manifest,
    peerDependencies: mapValues(peerDependencies, (name, range) => peerRange(versions[name] ?? range)),
    devDependencies: mapValues(devDependencies, (name, range) => versions[name] ?? range),
  }
  return `${JSON.stringify(pinned, null, 2)}\n`
}

/**
 * The versions that a driver works with: it is written for a contract, which lasts until the next major version. npm
 * reads `^0.1.2` as 0.1 only, and `^0.0.0` as 0.0.0 only.
 */
export function peerRange(range: string): string {
  return range.startsWith('^0.') ? `>=${range.slice(1)} <1` : range
}

function mapValues(
  dependencies: Readonly<Record<string, string>> = {},
  change: (name: string, range: string) => string,
): Record<string, string> {
  return Object.fromEntries(Object.entries(dependencies).map(([name, range]) => [name, change(name, range)]))
}
