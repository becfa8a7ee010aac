// Checks examples in a project that has installed what they import.
import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Example, type Failure, inPlace } from './examples.ts'
import { runProgram } from './run-program.ts'
import { typeErrors, type Written } from './type-errors.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const SESSION = fileURLToPath(new URL('session.sh', import.meta.url))

type Check = () => Promise<Failure[]>

/** The failures of `examples`. @param project A directory with a `node_modules`, outside the repository. */
export async function checkExamples(project: string, examples: readonly Example[]): Promise<Failure[]> {
  const written = examples.map((example) => ({ example, path: write(join(project, example.file), example) }))
  const programs = written.filter(({ example }) => example.language === 'ts')
  const errors = typeErrors(root, project, programs)
  const checks: Check[] = [
    ...Array.from(sessionsOf(examples), (session) => () => checkSession(project, session)),
    // A program that does not compile need not run.
    ...programs
      .filter(({ example }) => isAlone(example) && errors.get(example)?.length === 0)
      .map((program) => () => checkProgram(project, program)),
    ...examples
      .filter(({ language, run }) => language === 'json' && run)
      .map((example) => () => checkData(project, example)),
  ]
  return [...[...errors.values()].flat(), ...(await all(checks))].sort(byPlace)
}

/** A file with a name is run by other examples. */
function isAlone({ run, name }: Example): boolean {
  return run && name === undefined
}

/** For each document that has `sh` blocks to run: these, and the files it shows. */
function sessionsOf(examples: readonly Example[]): Example[][] {
  const parts = examples.filter(({ language, run, name }) => name !== undefined || (language === 'sh' && run))
  const byFile = Map.groupBy(parts, ({ file }) => file).values()
  return [...byFile].filter((session) => session.some(({ language }) => language === 'sh'))
}

function byPlace(a: Failure, b: Failure): number {
  return a.file === b.file ? a.line - b.line : a.file < b.file ? -1 : 1
}

/** Runs a few at a time. */
async function all(checks: readonly Check[]): Promise<Failure[]> {
  const waiting = checks.values()
  const worker = async () => {
    const failures: Failure[] = []
    for (const check of waiting) failures.push(...(await check()))
    return failures
  }
  return (await Promise.all(Array.from({ length: availableParallelism() }, worker))).flat()
}

function write(directory: string, example: Example): string {
  const path = join(directory, example.name ?? `${example.line}.${example.language}`)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, inPlace([example]))
  return path
}

/** A program runs in its own empty directory. */
async function checkProgram(project: string, { example, path }: Written): Promise<Failure[]> {
  const said = await runProgram(process.execPath, [path], { cwd: emptyDirectory(project) })
  return said === null ? [] : [{ file: example.file, line: lineIn(said, path) ?? example.line, message: said }]
}

/** The `sh` blocks of a document are one session, as if typed one after the other. */
async function checkSession(project: string, session: readonly Example[]): Promise<Failure[]> {
  const cwd = emptyDirectory(project)
  for (const example of session) if (example.name !== undefined) write(cwd, example)
  const blocks = session.filter(({ language, name }) => language === 'sh' && name === undefined)
  const [{ file, line } = { file: '', line: 1 }] = blocks
  const script = join(project, file, 'session.sh')
  writeFileSync(script, inPlace(blocks))
  const said = await runProgram('bash', ['-eu', script], { cwd, env: sessionEnvironment(project, cwd) })
  return said === null ? [] : [{ file, line: lineIn(said, script) ?? line, message: said }]
}

function sessionEnvironment(project: string, cwd: string): NodeJS.ProcessEnv {
  return {
    ...process.env,
    PATH: [join(project, 'node_modules', '.bin'), process.env.PATH].join(delimiter),
    BASH_ENV: SESSION,
    EXAMPLES: project,
    // `~` in an example means the reader's home.
    HOME: cwd,
    npm_config_update_notifier: 'false',
    // Packages that are not installed are not fetched.
    npm_config_yes: 'false',
  }
}

const LOAD_CONFIG = `
import { loadConfig } from '@stored/node/config'
// Every variable that a secret is taken from is there; none that would be part of the configuration.
const env = new Proxy({}, { get: (_, name) => (String(name).startsWith('STORED_') ? undefined : 'secret') })
await loadConfig({ file: 'stored.config.json', env })
`

/** A configuration is loaded; anything else need only be JSON. */
async function checkData(project: string, example: Example): Promise<Failure[]> {
  const { file, line, code } = example
  if (!/^\s*"?backends"?\s*:/m.test(code)) {
    const message = parseFault(code)
    return message === null ? [] : [{ file, line, message }]
  }
  const cwd = emptyDirectory(project)
  writeFileSync(join(cwd, 'stored.config.json'), inPlace([example]), { mode: 0o600 })
  const said = await runProgram(process.execPath, ['--input-type=module', '--eval', LOAD_CONFIG], { cwd })
  return said === null ? [] : [{ file, line: lineIn(said, 'stored.config.json') ?? line, message: said }]
}

function parseFault(text: string): string | null {
  try {
    JSON.parse(text)
    return null
  } catch (error) {
    return (error as SyntaxError).message
  }
}

function emptyDirectory(project: string): string {
  return mkdtempSync(join(project, 'run-'))
}

/** The line of `path` that a stack trace, or bash, mentions. */
function lineIn(said: string, path: string): number | undefined {
  const found = said.split(`${path}:`)[1]?.match(/^(?: line )?(\d+)/)
  return found ? Number(found[1]) : undefined
}
