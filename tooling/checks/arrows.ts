// Checks the arrows between packages: which may import which, and that a package declares exactly what it imports.
// Within a package no files import each other.
import { existsSync, globSync, readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { dirname, join, posix, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { findCircles } from './circles.ts'

export interface Violation {
  /** Relative to the root of the repository. */
  readonly file: string
  readonly line: number
  readonly message: string
}

interface Manifest {
  readonly name: string
  readonly private?: boolean
  readonly exports?: Readonly<Record<string, unknown>>
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
}

interface Package {
  readonly directory: string
  readonly manifest: Manifest
  readonly imports: readonly Import[]
}

interface Import {
  readonly file: string
  readonly line: number
  readonly specifier: string
  readonly inTest: boolean
}

interface Arrows {
  /** What its source may import from us, by specifier. */
  readonly source: readonly string[]
  /** What its tests may import in addition. */
  readonly tests: readonly string[]
}

const BACKEND = '@stored/core/backend'
const PRINTABLE = '@stored/core/printable'
const RUNTIME = '@stored/core/runtime'
const CORE = ['@stored/core', BACKEND, PRINTABLE, RUNTIME, '@stored/core/files', '@stored/core/processes']
const LEDGER = '@stored/ledger'
/** The content of rows of the former format. */
const FORMER = '@stored/ledger/format-2'
const SERVICES = [
  '@stored/checksumd',
  '@stored/index',
  LEDGER,
  '@stored/lmdb',
  '@stored/read-cache',
  '@stored/staging',
  '@stored/syncd',
  '@stored/watchd',
]

// Tests that need several packages are in @stored/node, so those of a service get nothing in addition.
const ARROWS: Readonly<Record<string, Arrows>> = {
  '@stored/core': { source: [], tests: [] },
  '@stored/checksumd': { source: CORE, tests: [] },
  '@stored/watchd': { source: CORE, tests: [] },
  '@stored/ledger': { source: CORE, tests: [] },
  '@stored/lmdb': { source: [...CORE, LEDGER, '@stored/ledger/engine'], tests: ['@stored/ledger/kit'] },
  // None of these needs a native module.
  '@stored/index': { source: [...CORE, LEDGER, FORMER], tests: [] },
  '@stored/staging': { source: [...CORE, LEDGER, FORMER], tests: [] },
  // Several processes elect a leader, which takes a ledger that they share.
  '@stored/syncd': { source: [...CORE, LEDGER, FORMER], tests: ['@stored/lmdb'] },
  '@stored/read-cache': { source: CORE, tests: [] },
  '@stored/conformance': { source: CORE, tests: [] },
  '@stored/node': {
    source: [...CORE, ...SERVICES, FORMER],
    tests: ['@stored/conformance', '@stored/driver-fs', '@stored/driver-s3', '@stored/ledger/kit', '@stored/services'],
  },
  '@stored/cli': {
    source: [...CORE, '@stored/node', '@stored/node/config'],
    tests: ['@stored/conformance', '@stored/driver-fs'],
  },
  // The driver that it generates is its own package; this one knows only the versions.
  'create-stored-driver': { source: [], tests: ['@stored/conformance', BACKEND] },
}
const DRIVER: Arrows = { source: [BACKEND], tests: ['@stored/conformance', '@stored/services'] }

/** The rooms of a package, and which others in it each may import. A room that is not listed may import any. */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  'packages/core/src/model': ['backend'],
  'packages/core/src/source': ['backend'],
  'packages/core/src/guard': ['backend', 'source'],
  'packages/core/src/ports': ['backend', 'model', 'guard'],
  'packages/syncd/src/queue': [],
  'packages/syncd/src/coordination': [],
}

/** Any test may import it, and it may import anything, so sources never do. */
const TESTING = '@stored/testing'

/** A configuration names its drivers. Tests outside their packages name any except `fs`, to have it refused. */
const NAMED_BY_TOOLS = /\bdriver: '(fs|s3|sftp)'/g
const NAMED_BY_TESTS = /\bdriver: '(fs)'/g

/** The manifests of the workspace; those of tools are in a room. */
const MEMBERS = '{packages,drivers,apps,tooling,tooling/{followers,proofs}}/*/package.json'

/**
 * Third-party packages that only one of ours may import, by name. An LMDB environment opened twice in a process breaks
 * its locks.
 */
const RESERVED: Readonly<Record<string, string>> = { lmdb: '@stored/lmdb' }
/** Packages of ours that import no third-party package. */
const BARE = ['@stored/core']

/** Every violation in the repository at `root`. */
export function findViolations(root: string): Violation[] {
  const monorepo = loadPackage(root, '{*.config.ts,tooling/**/*.{ts,mjs}}', root)
  const members = globSync(MEMBERS, { cwd: root })
    .sort()
    .map((file) => loadPackage(join(root, dirname(file)), '{src,test}/**/*.{ts,tsx,mjs}', root))
  const shared = Object.keys(monorepo.manifest.devDependencies ?? {})
  const found = members.flatMap((member) => [
    ...member.imports.flatMap((each) => complaints(member, each, members, root).map((message) => at(each, message))),
    ...undeclared(member, shared),
    ...unused(member, root),
  ])
  return [...found, ...undeclared(monorepo, shared), ...circles(root, [monorepo, ...members])]
}

function circles(root: string, packages: readonly Package[]): Violation[] {
  const files = new Set(packages.flatMap(({ imports }) => imports.map(({ file }) => file)))
  return findCircles(root, [...files]).map(({ file, line, path }) => ({
    file,
    line,
    message: `a circle of imports: ${path.join(' → ')}`,
  }))
}

function at({ file, line }: Import, message: string): Violation {
  return { file, line, message }
}

function loadPackage(directory: string, sources: string, root: string): Package {
  const manifest = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as Manifest
  // A folder with its own manifest is its own package.
  const isOurs = (file: string) =>
    !/(^|\/)(node_modules|dist)\//.test(file) && owner(join(directory, file)) === directory
  const pattern = manifest.private && directory !== root ? '**/*.{ts,tsx,mjs}' : sources
  const files = globSync(pattern, { cwd: directory }).map(toPosix).filter(isOurs).sort()
  return { directory, manifest, imports: files.flatMap((file) => readImports(join(directory, file), root)) }
}

function owner(file: string): string {
  let directory = dirname(file)
  while (!existsSync(join(directory, 'package.json'))) directory = dirname(directory)
  return directory
}

function readImports(path: string, root: string): Import[] {
  const text = readFileSync(path, 'utf8')
  const file = toPosix(relative(root, path))
  const inTest = /\.test\.tsx?$|\/test\//.test(file)
  const imported = ts.preProcessFile(text, true, true).importedFiles
  const named = isTool(path, root) ? NAMED_BY_TOOLS : inTest ? NAMED_BY_TESTS : null
  const drivers = named === null ? [] : [...text.matchAll(named)]
  const byName = drivers.map(({ index, 1: name }) => ({ fileName: `@stored/driver-${name}`, pos: index }))
  return [...imported, ...byName].map(({ fileName, pos }) => ({
    file,
    line: text.slice(0, pos).split('\n').length,
    specifier: fileName,
    inTest,
  }))
}

/** A tool with its own package: its stores are configured by name. */
function isTool(path: string, root: string): boolean {
  return isWithin(join(root, 'tooling'), path) && owner(path) !== root
}

function toPosix(path: string): string {
  return path.replaceAll(sep, '/')
}

/** `@scope/name/entry` → `@scope/name`. */
function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}

function complaints(from: Package, each: Import, members: readonly Package[], root: string): string[] {
  const { specifier } = each
  if (specifier.startsWith('.')) return relativeComplaints(from, each, root)
  if (isBuiltin(specifier)) return []
  const name = packageOf(specifier)
  const target = members.find(({ manifest }) => manifest.name === name)
  if (target === undefined) return thirdPartyComplaints(from, each, name)
  const entry = `.${specifier.slice(name.length)}`
  if (!Object.hasOwn(target.manifest.exports ?? {}, entry)) return [`${specifier} is not an entry of ${name}`]
  return arrowComplaints(from, each, name)
}

function relativeComplaints({ directory, manifest }: Package, { file, specifier }: Import, root: string): string[] {
  const target = resolve(root, dirname(file), specifier)
  if (!isWithin(directory, target)) return [`${specifier} reaches into another package: import it by its name`]
  const contract = join(directory, 'src', 'backend')
  const isContract =
    manifest.name === '@stored/core' && (isWithin(contract, resolve(root, file)) || file.endsWith('/src/backend.ts'))
  if (isContract && !isWithin(contract, target)) return [`${BACKEND} imports nothing else of @stored/core`]
  return roomComplaints(file, toPosix(relative(root, target)))
}

function roomComplaints(file: string, target: string): string[] {
  const room = Object.keys(ROOMS).find((each) => file.startsWith(`${each}/`))
  if (room === undefined) return []
  const mayImport = [room, ...(ROOMS[room] ?? []).map((other) => `${posix.dirname(room)}/${other}`)]
  return mayImport.some((each) => target.startsWith(`${each}/`)) ? [] : [`${room} may not import ${target}`]
}

function isWithin(directory: string, path: string): boolean {
  return path.startsWith(directory + sep)
}

function thirdPartyComplaints({ manifest }: Package, { inTest }: Import, name: string): string[] {
  const holder = RESERVED[name]
  if (holder !== undefined && holder !== manifest.name) return [`only ${holder} imports ${name}`]
  return BARE.includes(manifest.name) && !inTest ? [`${manifest.name} imports no third-party package`] : []
}

function arrowComplaints({ directory, manifest }: Package, { inTest, specifier }: Import, name: string): string[] {
  if (name === manifest.name) return inTest ? [] : ['a package imports its own files by path']
  if (manifest.private || (inTest && name === TESTING)) return []
  const arrows = ARROWS[manifest.name] ?? (dirname(directory).endsWith(`${sep}drivers`) ? DRIVER : undefined)
  if (arrows === undefined) return [`${manifest.name} has no arrows: add it to tooling/checks/arrows.ts`]
  if (arrows.source.includes(specifier) || (inTest && arrows.tests.includes(specifier))) return []
  return [`${inTest ? 'tests of ' : ''}${manifest.name} may not import ${specifier}`]
}

function undeclared({ manifest, imports }: Package, shared: readonly string[]): Violation[] {
  const declared = Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies })
  const forTests = [...declared, ...Object.keys(manifest.devDependencies ?? {}), ...shared, manifest.name]
  return imports
    .filter(({ specifier }) => !specifier.startsWith('.') && !isBuiltin(specifier))
    .filter(
      (each) =>
        !(each.inTest || manifest.private ? forTests : [...declared, manifest.name]).includes(
          packageOf(each.specifier),
        ),
    )
    .map((each) => at(each, `${packageOf(each.specifier)} is not declared in ${manifest.name}'s package.json`))
}

function unused({ directory, manifest, imports }: Package, root: string): Violation[] {
  const file = join(directory, 'package.json')
  const lines = readFileSync(file, 'utf8').split('\n')
  const complain = (name: string, why: string): Violation => ({
    file: toPosix(relative(root, file)),
    line: lines.findIndex((line) => line.includes(`"${name}":`)) + 1,
    message: `${name} is declared but ${why}`,
  })
  const named = (inTest: boolean) =>
    new Set(imports.filter((each) => each.inTest === inTest).map(({ specifier }) => packageOf(specifier)))
  const [bySource, byTests] = [named(false), named(true)]
  const { dependencies = {}, devDependencies = {} } = manifest
  return [
    ...Object.keys(dependencies)
      .filter((name) => !bySource.has(name))
      .map((name) => complain(name, byTests.has(name) ? 'only tests import it' : 'not imported')),
    ...Object.keys(devDependencies)
      // A peer may be there for others too: a strict package manager passes it on.
      .filter((name) => !(name in (manifest.peerDependencies ?? {})))
      .filter((name) => ![byTests, bySource].some((imported) => imported.has(name) || imported.has(typedBy(name))))
      .map((name) => complain(name, 'not imported')),
  ]
}

/** The package whose types are in `@types/NAME`. */
function typedBy(name: string): string {
  return name.replace(/^@types\//, '')
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const violations = findViolations(fileURLToPath(new URL('../..', import.meta.url)).replace(/[/\\]$/, ''))
  for (const { file, line, message } of violations) console.error(`${file}:${line}: ${message}`)
  console.log(violations.length === 0 ? 'all arrows hold' : `${violations.length} violations`)
  process.exitCode = violations.length === 0 ? 0 : 1
}
