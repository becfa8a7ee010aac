// Checks every example of the documentation against the packages as published, installed by npm outside the workspace.
// Arguments: documents, by default all. Needs a build.
import { globSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { install, packAll, publicPackages, root, version } from '../tarballs.ts'
import { checkExamples } from './check-examples.ts'
import { examplesOf, type Failure, programOf } from './examples.ts'

const CONTRACT = 'packages/core/src/backend/contract.ts'
const DOCUMENTS = ['README.md', 'docs/**/*.md', '{packages,drivers}/*/README.md', CONTRACT]
/** Packages that the guides combine with StoreD, in the versions of the catalog. */
const THEIRS = ['@hono/node-server', '@types/express', '@types/node', 'express', 'fastify', 'hono']

/** Other programs follow these step by step: here only their standalone examples are checked. */
const FOLLOWED: ReadonlySet<string> = new Set([
  'docs/guides/first-hour.md',
  'docs/guides/writing-a-driver.md',
  'docs/guides/writing-a-driver-for-a-server.md',
])

/** Everything that a reader of the documentation has installed. */
function installAll(project: string): void {
  const tarballs = packAll(publicPackages(), join(project, 'tarballs'))
  const theirs = THEIRS.map((name) => [name, version(name)])
  const ours = Array.from(tarballs, ([name, tarball]) => [name, `file:${tarball}`])
  const faults = install('all packages', project, Object.fromEntries([...theirs, ...ours]))
  if (faults.length > 0) throw new Error(faults.join('\n'))
}

function blocksOf(file: string): ReturnType<typeof examplesOf> {
  const text = readFileSync(join(root, file), 'utf8')
  if (file.endsWith('.ts')) return programOf(file, text)
  const { examples, failures } = examplesOf(file, text)
  if (!FOLLOWED.has(file)) return { examples, failures }
  return { examples: examples.filter(({ name }) => name === undefined), failures: [] }
}

async function main(documents: readonly string[]): Promise<Failure[]> {
  const project = realpathSync(mkdtempSync(join(tmpdir(), 'stored-docs-')))
  try {
    const found = documents.map(blocksOf)
    installAll(project)
    const examples = found.flatMap(({ examples }) => examples)
    const failures = [...found.flatMap(({ failures }) => failures), ...(await checkExamples(project, examples))]
    const checked = examples.filter(({ language, run }) => run || language === 'ts').length
    console.log(`${checked} examples in ${documents.length} documents, ${failures.length} failures`)
    return failures
  } finally {
    rmSync(project, { recursive: true })
  }
}

const named = process.argv.slice(2)
const failures = await main(named.length > 0 ? named : globSync(DOCUMENTS, { cwd: root }).sort())
for (const { file, line, message } of failures) console.error(`${file}:${line}: ${message}`)
process.exitCode = failures.length === 0 ? 0 : 1
