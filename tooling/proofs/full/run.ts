// Runs what is too long for CI, in parts, and records each in a log. With the same log it resumes after the last one:
// npm run test:full [-- STAGE...] [--log FILE] [--seed N]
import { execFileSync } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { execute } from './execute.ts'
import { Log } from './log.ts'
import { commandOf, NAMES, partsOf } from './stages.ts'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { log: { type: 'string' }, seed: { type: 'string' } },
})
const seed = values.seed === undefined ? undefined : Number(values.seed)
const isSound = seed === undefined || (Number.isInteger(seed) && seed > 0 && seed < 2 ** 31 - 1000)
if (!isSound || positionals.some((name) => !NAMES.includes(name)))
  refuse(`usage: npm run test:full [-- STAGE...] [--log FILE] [--seed N]\n\n  STAGE  ${NAMES.join(' ')}; default: all`)

const log = openLog(resolve(values.log ?? join(mkdtempSync(join(tmpdir(), 'stored-full-')), 'full.log')))
const interruption = new AbortController()
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const)
  process.once(signal, () => {
    process.exitCode = code
    interruption.abort()
  })

console.log(`seed ${log.seed}, log ${log.file}`)
try {
  await runAll()
} catch (error) {
  if (!interruption.signal.aborted) throw error
  console.log(`interrupted; goes on with: npm run test:full -- ${[...positionals, '--log', log.file].join(' ')}`)
}

async function runAll(): Promise<void> {
  const parts = partsOf(positionals.length > 0 ? positionals : NAMES, log.seed)
  for (const part of parts.filter(({ name }) => !log.has(name))) {
    const output = join(`${log.file}.d`, `${part.name.replace('/', '-of-').replace(' ', '-')}.txt`)
    const began = performance.now()
    const { verdict, reason } = await execute(part, output, interruption.signal)
    const details = [
      commandOf(part),
      ...(reason === undefined ? [] : [reason]),
      ...(verdict === 'failed' ? [output] : []),
    ]
    console.log(log.add(part.name, verdict, performance.now() - began, details.join('; ')))
  }
  console.log(log.end())
  process.exitCode = log.count('failed') === 0 ? 0 : 1
}

function openLog(file: string): Log {
  try {
    return Log.open(file, { commit: versionOf(ROOT), seed })
  } catch (error) {
    return refuse((error as Error).message)
  }
}

/** The version of these sources. */
function versionOf(directory: string): string {
  const git = (...args: string[]) => execFileSync('git', args, { cwd: directory, encoding: 'utf8' }).trim()
  const changes = git('status', '--porcelain', '--untracked-files=no')
  return `${git('rev-parse', 'HEAD')}${changes === '' ? '' : '+changes'}`
}

function refuse(message: string): never {
  console.error(message)
  process.exit(2)
}
