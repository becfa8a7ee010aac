// Type-checks every `ts` code block of the documentation, and runs those that are not marked `ts no-run`.
import { spawnSync } from 'node:child_process'
import {
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

export interface Example {
  readonly file: string
  /** Of its first line of code, in `file`; 1-based. */
  readonly line: number
  readonly code: string
  readonly run: boolean
}

export interface Failure {
  readonly file: string
  readonly line: number
  readonly message: string
}

const DOCUMENTS = ['README.md', 'docs/guides/*.md', '{packages,drivers}/*/README.md']
const FENCE = /^([ \t]*)```ts(?![a-z])([^\n]*)\n([\s\S]*?)^\1```/gm
const RUN_TIMEOUT_MS = 60_000

/** The `ts` code blocks of a document. */
export function examplesOf(file: string, markdown: string): Example[] {
  return [...markdown.matchAll(FENCE)].map(({ index, 2: label = '', 3: code = '' }) => ({
    file,
    line: markdown.slice(0, index).split('\n').length + 1,
    code,
    run: !label.split(' ').includes('no-run'),
  }))
}

/** What fails of `examples`, with the packages of the workspace at `root` to import from. */
export function checkExamples(root: string, examples: readonly Example[]): Failure[] {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'stored-docs-')))
  try {
    linkPackages(root, directory)
    const written = examples.map((example) => ({ example, path: write(directory, example) }))
    const failures = typeErrors(root, written)
    // What does not compile need not run.
    const runnable = written.filter(
      ({ example, path }) => example.run && !failures.some((failure) => failure.path === path),
    )
    return [
      ...failures.map(({ failure }) => failure),
      ...runnable.flatMap(({ example, path }) => runError(directory, example, path)),
    ]
  } finally {
    rmSync(directory, { recursive: true })
  }
}

interface Written {
  readonly example: Example
  readonly path: string
}

/** As many empty lines before it as in the document: what is reported of a line there is true here. */
function write(directory: string, { file, line, code }: Example): string {
  const path = join(directory, `${file}.${line}.ts`)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, '\n'.repeat(line - 1) + code)
  return path
}

/** Outside the repository, as a user of the packages is; and Node.js strips no types below a `node_modules`. */
function linkPackages(root: string, directory: string): void {
  writeFileSync(join(directory, 'package.json'), '{ "type": "module" }')
  for (const manifest of globSync('{packages,drivers}/*/package.json', { cwd: root })) {
    const { name } = JSON.parse(readFileSync(join(root, manifest), 'utf8')) as { name: string }
    const link = join(directory, 'node_modules', name)
    mkdirSync(dirname(link), { recursive: true })
    symlinkSync(join(root, dirname(manifest)), link, 'junction')
  }
}

function typeErrors(root: string, written: readonly Written[]): { path: string; failure: Failure }[] {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile)
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, root)
  const program = ts.createProgram(
    written.map(({ path }) => path),
    {
      ...options,
      moduleDetection: ts.ModuleDetectionKind.Force,
      noUnusedLocals: false,
      typeRoots: [join(root, 'node_modules', '@types')],
    },
  )
  return written.flatMap(({ example, path }) => {
    const source = program.getSourceFile(path)
    const diagnostics = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)]
    return diagnostics.map(({ start = 0, messageText }) => ({
      path,
      failure: {
        file: example.file,
        line: (source?.getLineAndCharacterOfPosition(start).line ?? 0) + 1,
        message: ts.flattenDiagnosticMessageText(messageText, '\n'),
      },
    }))
  })
}

function runError(directory: string, { file, line }: Example, path: string): Failure[] {
  const cwd = mkdtempSync(join(directory, 'run-'))
  const { status, signal, stderr, error } = spawnSync(process.execPath, [path], {
    cwd,
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
    timeout: RUN_TIMEOUT_MS,
  })
  if (status === 0) return []
  const inStack = stderr.split('\n').find((text) => text.includes(`${path}:`))
  const found = inStack?.slice(inStack.indexOf(`${path}:`) + path.length + 1).match(/^\d+/)
  return [
    {
      file,
      line: found ? Number(found[0]) : line,
      message: stderr.trim() || `ended by ${signal ?? error ?? `status ${status}`}`,
    },
  ]
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = fileURLToPath(new URL('..', import.meta.url))
  const files = globSync(DOCUMENTS, { cwd: root }).sort()
  const examples = files.flatMap((file) =>
    examplesOf(relative(root, join(root, file)), readFileSync(join(root, file), 'utf8')),
  )
  const failures = checkExamples(root, examples)
  for (const { file, line, message } of failures) console.error(`${file}:${line}: ${message}`)
  console.log(`${examples.length} examples in ${files.length} documents, ${failures.length} failures`)
  process.exitCode = failures.length === 0 ? 0 : 1
}
