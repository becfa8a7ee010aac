import { spawnSync } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { printable } from '@stored/core/printable'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fill, type Place, place } from './place.ts'

const SOURCE = fileURLToPath(new URL('../src/', import.meta.url))
const BIN = path.join(SOURCE, 'bin.ts')

/**
 * Clears the screen with one C1 character, reverses the rest of the line, and hides text in tags: all of it is valid in
 * a key.
 */
const KEY = 'a/\u009b2J\u202egpj.\u{e0041}exe'
const SHOWN = 'a/\\u009b2J\\u202egpj.\\udb40\\udc41exe'
const SOURCE_FILE = 'b\u202e/source\u009b'
/** What a server may say: it sets the window title and draws over the line. */
const SAID = 'no \u001b]0;owned\u0007\r\u001b[2Kall is well\n'

/** A server that refuses every connection with a hostile message. */
const DRIVER = `
import { StorageError } from ${JSON.stringify(import.meta.resolve('@stored/core/backend'))}
export const driver = () => ({
  name: 'rude',
  capabilities: { contract: 1 },
  open: async () => { throw new StorageError('MISCONFIGURED', { op: 'open' }, { detail: ${JSON.stringify(SAID)} }) },
  put: async () => {}, get: async () => {}, stat: async () => {}, delete: async () => {}, list: async function* () {},
})`

/** All sequences that we write to a terminal ourselves: colours, and the progress line being cleared. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const OURS = /\u001b\[\d+m|\r\u001b\[2K|\r\n/g

/** Runs a command on a terminal. @returns Everything written to it. */
function atTerminal(at: Place, ...args: string[]): string {
  const quote = (arg: string) => `'${arg.replaceAll("'", "'\\''")}'`
  const command = [process.execPath, BIN, ...args].map(quote).join(' ')
  const { stdout } = spawnSync('script', ['-qec', command, '/dev/null'], {
    cwd: at.path,
    encoding: 'utf8',
    env: { PATH: process.env.PATH, HOME: at.path, TERM: 'xterm', SHELL: '/bin/sh' },
  })
  return stdout
}

const hasTerminal = spawnSync('script', ['-qec', 'true', '/dev/null']).status === 0

let at: Place

beforeAll(async () => {
  at = await place()
  await fill(at, { [KEY]: 'content' })
  await at.file('rude.mjs', DRIVER)
  await at.file(SOURCE_FILE, 'content')
  const root = (name: string) => ({ driver: 'fs', root: name })
  const backends = { a: root('a'), b: root('b'), rude: { driver: './rude.mjs' } }
  await at.file('stored.config.json', JSON.stringify({ path: '.stored', backends }))
  const { stderr } = await at.stored('put', SOURCE_FILE, '--key', 'b', '--meta', `k=${SAID}`)
  expect(stderr).toContain('\\u001b]0;owned')
  await rm(path.join(at.path, 'a', KEY))
  await at.stored('verify')
}, 60_000)
afterAll(() => at[Symbol.asyncDispose]())

function titled(args: readonly string[]): [string, readonly string[]] {
  return [printable(args.join(' ')), args]
}

const COMMANDS = [
  ['ls'],
  ['ls', '-l'],
  ['ls', '--tree'],
  ['whereis'],
  ['stat', KEY, 'b'],
  ['get', KEY, '-o', 'copy'],
  ['get', `${KEY}?`],
  ['put', SOURCE_FILE, '--key', KEY, '--dry-run'],
  ['put', 'none\u001b[2J'],
  ['verify', '-v'],
  ['repair', KEY, '--dry-run'],
  ['copies'],
  ['rm', KEY, '--dry-run'],
  ['queue', 'ls'],
  ['backend', 'ls'],
  ['backend', 'test', 'rude'],
  ['events'],
  ['status'],
  ['doctor', '-v'],
  ['sync', '--until-idle', '-v'],
  ['config', 'explain'],
  ['cat', `x\u001b[2J`],
  [`no\u001b[2Jne`],
]

/** One of each kind: a table, lines, errors. */
const SOME = [['whereis'], ['doctor'], ['put', 'none\u001b[2J']]

describe.skipIf(!hasTerminal)('at a terminal', () => {
  it.each(COMMANDS.map(titled))('nothing of others is obeyed: %s', (_, args) => {
    const written = atTerminal(at, ...args)
    const rest = written.replaceAll(OURS, '')
    expect(rest).not.toBe('')
    expect(rest).toBe(printable(rest))
  })

  it('ls shows an invisible key as JSON would write it', () => {
    expect(atTerminal(at, 'ls')).toBe(`${SHOWN}\r\nb\r\n`)
  })
})

describe('in a pipe', () => {
  it('ls and put print keys unchanged', async () => {
    expect(await at.stored('ls')).toMatchObject({ stdout: `${KEY}\nb\n` })
    const { stdout } = await at.stored('put', 'stored.config.json', '--key', `${KEY}2`, '--no-wait')
    expect(stdout).toMatch(`  ${KEY}2\n`)
    await at.stored('rm', `${KEY}2`, '--no-wait')
  })

  it.each(SOME.map(titled))('still escapes errors and tables: %s', async (_, args) => {
    const { stdout, stderr } = await at.stored(...args)
    const rest = `${stdout}${stderr}`.replaceAll('\n', '')
    expect(rest).not.toBe('')
    expect(rest).toBe(printable(rest))
  })

  it.each(SOME.map(titled))('--json escapes what no terminal should receive: %s', async (_, args) => {
    const { stdout } = await at.stored(...args, '--json')
    const rest = stdout.replaceAll('\n', '')
    expect(rest).not.toBe('')
    expect(rest).toBe(printable(rest))
  })

  it('--json identifies the key', async () => {
    const { records } = await at.json('ls')
    expect(records[0]).toMatchObject({ type: 'entry', key: KEY })
  })
})

describe('the source of the command', () => {
  it('has one writer', () => {
    const writing = globSync('**/*.ts', { cwd: SOURCE })
      .filter((file) => !file.endsWith('.test.ts'))
      .filter((file) =>
        /\bconsole\b|\bprocess\.std(out|err)\b|\{[^}]*\bstd(out|err)\b[^}]*\} = process\b|'node:process'/.test(
          readFileSync(path.join(SOURCE, file), 'utf8'),
        ),
      )
    // `bin` prints which Node.js is needed; `main` makes the writer and prints help, which is our own text; `ask` edits
    // a line; `Interruption` only listens.
    expect(writing.sort()).toEqual(['bin.ts', 'main.ts', 'output/ask.ts', 'session/interruption.ts'])
  })
})
