// The public packages as published, and npm installing them as it does for users. Needs a build.
import { spawnSync } from 'node:child_process'
import { globSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface Manifest {
  readonly name: string
  readonly private?: boolean
  readonly description?: string
  readonly license?: string
  readonly type?: string
  readonly engines?: object
  readonly sideEffects?: boolean
  readonly files?: readonly string[]
  readonly repository?: { readonly directory?: string }
  readonly publishConfig?: { readonly access?: string }
  readonly exports?: Readonly<Record<string, string>>
  readonly dependencies?: Readonly<Record<string, string>>
}

export interface Package {
  readonly directory: string
  readonly manifest: Manifest
}

export const root = fileURLToPath(new URL('../..', import.meta.url))
const catalog = readFileSync(join(root, 'pnpm-workspace.yaml'), 'utf8')

export function readManifest(directory: string): Manifest {
  return JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as Manifest
}

/** In the order of their directories. */
export function publicPackages(): Package[] {
  return globSync('{packages,drivers}/*/package.json', { cwd: root })
    .sort()
    .map((file) => join(root, dirname(file)))
    .map((directory) => ({ directory, manifest: readManifest(directory) }))
    .filter(({ manifest }) => !manifest.private)
}

/** The import specifiers of `packages`, such as `@stored/core/backend`, each with its file in `src`. */
export function entriesOf({ directory, manifest }: Package): { readonly name: string; readonly file: string }[] {
  return Object.entries(manifest.exports ?? {})
    .filter(([, file]) => file.endsWith('.ts'))
    .map(([entry, file]) => ({ name: manifest.name + entry.slice(1), file: join(directory, file) }))
}

/** Tarballs below `destination`, by package name. */
export function packAll(packages: readonly Package[], destination: string): Map<string, string> {
  return new Map(
    packages.map(({ directory, manifest: { name } }) => [name, pack(directory, join(destination, ...name.split('/')))]),
  )
}

function pack(directory: string, destination: string): string {
  mkdirSync(destination, { recursive: true })
  const faults = run(`pack ${basename(directory)}`, directory, 'pnpm', 'pack', '--pack-destination', destination)
  const tarball = readdirSync(destination).find((file) => file.endsWith('.tgz'))
  if (faults.length > 0 || tarball === undefined) throw new Error(`cannot pack ${directory}: ${faults.join('\n')}`)
  return join(destination, tarball)
}

/**
 * Makes `directory` a project that depends on `dependencies`, and installs them. @returns The error output, if it
 * failed.
 */
export function install(
  title: string,
  directory: string,
  dependencies: Readonly<Record<string, string>>,
  devDependencies: Readonly<Record<string, string>> = {},
): string[] {
  const manifest = { private: true, type: 'module', dependencies, devDependencies }
  writeFileSync(join(directory, 'package.json'), JSON.stringify(manifest))
  const quietly = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error']
  return run(`install: ${title}`, directory, 'npm', 'install', ...quietly)
}

/** The version of `name` in the workspace's catalog. */
export function version(name: string): string {
  const found = catalog.split('\n').find((line) => line.trim().replaceAll(/['"]/g, '').startsWith(`${name}:`))
  if (found === undefined) throw new Error(`${name} is not in the catalog`)
  return found.slice(found.indexOf(':') + 1).trim()
}

/** Runs a program, also of this workspace, and prints its verdict. @returns Its output, if it failed. */
export function run(title: string, cwd: string, command: string, ...args: string[]): string[] {
  const PATH = [join(root, 'node_modules', '.bin'), process.env.PATH].join(delimiter)
  const started = performance.now()
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, PATH },
  })
  const passed = status === 0
  console.log(`${passed ? 'passed' : 'FAILED'}  ${title}  ${((performance.now() - started) / 1000).toFixed(1)} s`)
  return passed ? [] : [`${title}: ${error ?? ''}${stdout}${stderr}`.trim()]
}
