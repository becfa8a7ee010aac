// Packs every public package for publishing, lints the tarballs, and uses them as a user would: installed by npm,
// outside the workspace. Needs a build.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import {
  entriesOf,
  install,
  type Manifest,
  type Package,
  packAll,
  publicPackages,
  readManifest,
  root,
  run,
  version,
} from '../followers/tarballs.ts'

interface Consumer {
  readonly name: string
  /** Our packages in its `npm install`. */
  readonly packages: readonly string[]
  readonly program: string
}

/** Combinations that users install. */
const CONSUMERS: readonly Consumer[] = [
  {
    name: 'core with a driver',
    packages: ['@stored/core', '@stored/driver-fs'],
    program: `
import { strictEqual } from 'node:assert'
import { type GuardedBackend, guardBackend } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import { FsBackend } from '@stored/driver-fs'

const backend: GuardedBackend = guardBackend(new FsBackend({ root: 'data' }))
await backend.put('a/b.txt', Buffer.from('hello'))
const { body } = await backend.get('a/b.txt')
const chunks: Uint8Array[] = []
for await (const chunk of body) chunks.push(chunk)
strictEqual(Buffer.concat(chunks).toString(), 'hello')
// One class, whichever entry of whichever package threw it.
const error: unknown = await backend.get('missing').catch((error: unknown) => error)
strictEqual(error instanceof StorageError && error.code, 'NOT_FOUND')
await backend.close()
`,
  },
  {
    name: 'node with a driver',
    packages: ['@stored/node', '@stored/driver-fs'],
    program: `
import { match, strictEqual } from 'node:assert'
import { openStore } from '@stored/node'

const store = await openStore({ path: 'store', backends: { local: { driver: 'fs', root: 'data' } } })
const { id } = await store.put(Buffer.from('hello'), { key: 'a/b.txt' })
await store.synced()
const byKey: Buffer = await store.get('a/b.txt')
strictEqual(byKey.toString(), 'hello')
const byId: Buffer = await store.get(id)
strictEqual(byId.toString(), 'hello')
await store.close()
// A read cache is a package of its own, which this one does without.
const cached = openStore({ path: 'cached', backends: { local: { driver: 'fs', root: 'data' } }, cache: {} })
const error: unknown = await cached.catch((error: unknown) => error)
match(String(error), /MISCONFIGURED.*npm install @stored\\/read-cache/)
`,
  },
  {
    name: 'node with a driver and a read cache',
    packages: ['@stored/node', '@stored/driver-fs', '@stored/read-cache'],
    program: `
import { strictEqual } from 'node:assert'
import { openStore } from '@stored/node'

const backends = { local: { driver: 'fs', root: 'data' } }
const store = await openStore({ path: 'store', backends, cache: { maxSize: '1 MB' } })
strictEqual((await store.cache.stats()).maxSize, 1e6)
await store.close()
`,
  },
  {
    name: 'the command with a driver',
    packages: ['@stored/cli', '@stored/driver-fs'],
    program: `
import { strictEqual } from 'node:assert'
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { EXIT } from '@stored/cli'

const stored = (...args: string[]) => execFileSync('node_modules/.bin/stored', args, { encoding: 'utf8' })
stored('init', '--yes')
writeFileSync('hello.txt', 'hello')
stored('put', 'hello.txt')
strictEqual(stored('cat', 'hello.txt'), 'hello')
strictEqual(EXIT.noStore, 10)
`,
  },
  {
    name: 'the library and the command, on a Node.js that is too old',
    packages: ['@stored/cli', '@stored/node'],
    program: `
import { deepStrictEqual, match, strictEqual } from 'node:assert'
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { runtimeFault } from '@stored/core/runtime'

const names = (process.env.PATH ?? '').split(delimiter).map((directory) => join(directory, 'node'))
const older = names.filter((name) => existsSync(name)).find((name) => runtimeFault(said(name, '-p', 'process.versions.node').stdout) !== null)
const before = readdirSync('.')
if (older === undefined) console.log('skipped: there is none on PATH')
else {
  const { status, stdout, stderr } = said(older, 'node_modules/.bin/stored', 'init', '--yes')
  deepStrictEqual({ status, stdout }, { status: 1, stdout: '' })
  match(stderr, /^stored: needs Node\\.js .*; this is .*\\n$/)
  const open = "import('@stored/node').then(({ openStore }) => openStore({ path: 'store', backends: {} })).catch((e) => console.log(e.code))"
  strictEqual(said(older, '-e', open).stdout.trim(), 'UNSUPPORTED')
  deepStrictEqual(readdirSync('.'), before)
}

function said(...[name = '', ...args]: string[]) {
  return spawnSync(name, args, { encoding: 'utf8' })
}
`,
  },
  {
    name: 'checksums alone',
    packages: ['@stored/checksumd'],
    program: `
import { strictEqual } from 'node:assert'
import { writeFile } from 'node:fs/promises'
import { ChecksumPool, checksums, fileDigests } from '@stored/checksumd'

const hasher = await checksums.hasher(['xxh3', 'crc64nvme'])
hasher.update(Buffer.from('abc'))
const expected = hasher.digest()
strictEqual(expected.xxh3, '78af5f94892f3950')
strictEqual(expected.crc64nvme?.length, 16)
await writeFile('file', 'abc')
strictEqual((await fileDigests('file', [])).sha256, expected.sha256)
await using pool = new ChecksumPool({ threads: 1 })
strictEqual((await pool.file('file', ['xxh3'])).xxh3, expected.xxh3)
`,
  },
]

const CONSUMER_TSCONFIG = {
  compilerOptions: {
    target: 'ES2022',
    module: 'NodeNext',
    strict: true,
    skipLibCheck: false,
    types: ['node'],
    noEmit: true,
  },
}

/** What a public package lacks of the properties that all ours have. */
export function manifestFaults(directory: string, manifest: Manifest, engines: object | undefined): string[] {
  const { name } = manifest
  const demands: [boolean, string][] = [
    [existsSync(join(directory, 'README.md')), 'README.md'],
    [existsSync(join(directory, 'LICENSE')), 'LICENSE'],
    [(manifest.description ?? '') !== '', 'a description'],
    [manifest.license === 'MIT', '"license": "MIT"'],
    [manifest.type === 'module', '"type": "module"'],
    [manifest.sideEffects === false, '"sideEffects": false'],
    [isDeepStrictEqual(manifest.files, ['dist', ...dataFiles(manifest)]), '"files": ["dist"]'],
    [isDeepStrictEqual(manifest.engines, engines), 'the engines of the root'],
    [
      manifest.repository?.directory === `${basename(dirname(directory))}/${basename(directory)}`,
      'its directory in "repository"',
    ],
    [manifest.publishConfig?.access === 'public', '"publishConfig": { "access": "public" }'],
  ]
  return demands.filter(([met]) => !met).map(([, what]) => `${name} lacks ${what}`)
}

/** Files that are published unchanged: a JSON Schema. */
function dataFiles({ exports = {} }: Manifest): string[] {
  const named = Object.values(exports).filter((file) => file.endsWith('.json'))
  return named.map((file) => file.slice('./'.length)).filter((file) => file !== 'package.json')
}

function main(): string[] {
  const temp = mkdtempSync(join(tmpdir(), 'stored-packages-'))
  try {
    const packages = publicPackages()
    const { engines } = readManifest(root)
    const faults = packages.flatMap(({ directory, manifest }) => manifestFaults(directory, manifest, engines))
    const tarballs = packAll(packages, join(temp, 'tarballs'))
    for (const [name, tarball] of tarballs) {
      faults.push(...run(`publint ${name}`, root, 'publint', 'run', tarball, '--strict'))
      faults.push(
        ...run(`attw ${name}`, root, 'attw', tarball, '--profile', 'esm-only', '--no-definitely-typed', '--no-color'),
      )
    }
    for (const consumer of [...CONSUMERS, everything(packages)])
      faults.push(...consume(consumer, tarballs, mkdtempSync(join(temp, 'consumer-'))))
    return faults
  } finally {
    rmSync(temp, { recursive: true })
  }
}

/** Loads every entry, which also compiles every declaration file. */
function everything(packages: readonly Package[]): Consumer {
  const entries = packages.flatMap(entriesOf).map(({ name }) => name)
  return {
    name: 'every entry of every package',
    packages: packages.map(({ manifest }) => manifest.name),
    program: entries.map((entry, i) => `import '${entry}'\nexport type * as _${i} from '${entry}'\n`).join(''),
  }
}

function consume(
  { name, packages, program }: Consumer,
  tarballs: ReadonlyMap<string, string>,
  directory: string,
): string[] {
  const write = (file: string, content: string) => writeFileSync(join(directory, file), content)
  const dependencies = Object.fromEntries(
    withOurs(packages, tarballs).map((each) => [each, `file:${tarballs.get(each)}`]),
  )
  write('tsconfig.json', JSON.stringify(CONSUMER_TSCONFIG))
  write('program.ts', program)
  const faults = install(name, directory, dependencies, { '@types/node': version('@types/node') })
  if (faults.length > 0) return faults
  return [
    ...run(`types: ${name}`, directory, 'tsc', '-p', '.'),
    ...run(`use: ${name}`, directory, 'node', 'program.ts'),
  ]
}

/** `names` and our packages that they depend on: a registry does not have this version of them yet. */
function withOurs(names: readonly string[], tarballs: ReadonlyMap<string, string>): string[] {
  const all = new Set(names)
  for (const name of all) {
    const found = publicPackages().find(({ manifest }) => manifest.name === name)
    if (found === undefined) throw new Error(`no public package is called ${name}`)
    for (const dependency of Object.keys(found.manifest.dependencies ?? {}))
      if (tarballs.has(dependency)) all.add(dependency)
  }
  return [...all]
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const faults = main()
  for (const fault of faults) console.error(fault)
  process.exitCode = faults.length === 0 ? 0 : 1
}
