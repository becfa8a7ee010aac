import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Place, place } from './place.ts'

const BIN = fileURLToPath(new URL('../src/bin.ts', import.meta.url))
const SECRET = 's3cr-et'
/** A driver that declares a secret whose name does not look like one, and refuses a wrong value. */
const DRIVER = `
import { MemoryBackend, StorageError } from ${JSON.stringify(import.meta.resolve('@stored/core/backend'))}
export const secrets = ['code']
export const driver = ({ code }) => {
  if (typeof code !== 'function' && code !== '${SECRET}')
    throw new StorageError('INVALID_ARGUMENT', { op: 'open' }, { detail: 'a wrong code' })
  return new MemoryBackend()
}`

let at: Place
beforeEach(async () => {
  at = await place()
  await at.file('mine.mjs', DRIVER)
})
afterEach(() => at[Symbol.asyncDispose]())

const added = async () => JSON.parse(await readFile(path.join(at.path, 'stored.config.json'), 'utf8')).backends.mine
const add = (...options: string[]) => ['backend', 'add', 'mine', './mine.mjs', ...options]

describe('backend add, of a secret', () => {
  it('that stands in the command line: warns, naming the option and not the value', async () => {
    const { code, stderr } = await at.stored(...add(`code=${SECRET}`))
    expect(stderr).toMatch(/^warning: code is on the command line.*code=@env:NAME, @file:PATH or @ask/m)
    expect(stderr).not.toContain(SECRET)
    expect(code).toBe(0)
    const { stderr: ofS3 } = await at.stored('backend', 'add', 'b2', 'fs', 'root=./c', 'secretAccessKey=x', '-n')
    expect(ofS3).toMatch(/^warning: secretAccessKey is/m)
  })

  it('warns of nothing else', async () => {
    expect(await at.stored('backend', 'add', 'c', 'fs', 'root=./c')).toMatchObject({ code: 0, stderr: '' })
  })

  it('@env:NAME keeps the name of the variable in the configuration, and no value', async () => {
    const { code, stderr } = await at.run(add('code=@env:CODE'), { env: { CODE: SECRET } })
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(await added()).toEqual({ driver: './mine.mjs', code: { env: 'CODE' } })
  })

  it('@file:PATH keeps the path, as seen from the configuration', async () => {
    await at.file('below/code.txt', `${SECRET}\n`)
    const args = ['backend', 'add', 'mine', '../mine.mjs', 'code=@file:code.txt']
    expect(await at.stored('-C', 'below', ...args)).toMatchObject({ code: 0, stderr: '' })
    expect(await added()).toEqual({ driver: './mine.mjs', code: { file: './below/code.txt' } })
    expect(await at.stored('backend', 'show', 'mine')).toMatchObject({ code: 0 })
  })

  it.each([
    ['a variable that is not set', 'code=@env:NONE', 1, 'NONE, which is not set'],
    ['a file that is not there', 'code=@file:none', 1, 'none, which cannot be read'],
    ['a word with @ that means nothing', 'code=@evn:CODE', 2, '@env:NAME, @file:PATH or @ask'],
    ['a question where nobody answers', 'code=@ask', 2, 'cannot ask for code'],
  ])('%s: nothing is added', async (_, option, expected, message) => {
    const { code, stderr } = await at.stored(...add(option))
    expect({ code, stderr }).toEqual({ code: expected, stderr: expect.stringContaining(message) })
    expect(await added()).toBeUndefined()
  })

  it('takes a text that begins with @ if it is JSON', async () => {
    expect(await at.stored('backend', 'add', 'c', 'fs', 'root="@c"')).toMatchObject({ code: 0 })
    const { backends } = JSON.parse(await readFile(path.join(at.path, 'stored.config.json'), 'utf8'))
    expect(backends.c.root).toBe('./@c')
  })
})

const hasTerminal = spawnSync('script', ['-qec', 'true', '/dev/null']).status === 0

describe.skipIf(!hasTerminal)('backend add, at a terminal', () => {
  it('@ask asks for it, shows nothing of what is typed, and keeps it in a file of the owner alone', async () => {
    await chmod(path.join(at.path, 'stored.config.json'), 0o644)
    const shown = await answer('code (not shown): ', add('code=@ask'), `${SECRET}\r`)
    expect(shown).toContain('added mine')
    expect(shown).not.toContain(SECRET)
    expect(shown).not.toContain('warning')
    expect(await added()).toMatchObject({ code: SECRET })
    expect((await stat(path.join(at.path, 'stored.config.json'))).mode & 0o777).toBe(0o600)
  })

  it('@ask that is interrupted adds nothing', async () => {
    expect(await answer('code (not shown): ', add('code=@ask'), '\x03')).not.toContain('added')
    expect(await added()).toBeUndefined()
  })
})

/** Runs a command on a terminal, and types `text` once `question` appears. @returns Everything the terminal shows. */
async function answer(question: string, args: readonly string[], text: string): Promise<string> {
  await mkdir(path.join(at.path, 'home'))
  const command = [process.execPath, BIN, ...args].map((arg) => `'${arg}'`).join(' ')
  const child = spawn('script', ['-qec', command, '/dev/null'], {
    cwd: at.path,
    env: { PATH: process.env.PATH, HOME: path.join(at.path, 'home'), TERM: 'xterm', SHELL: '/bin/sh' },
  })
  let shown = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    const wasAsked = shown.includes(question)
    shown += chunk
    if (!wasAsked && shown.includes(question)) child.stdin.write(text)
  })
  await once(child, 'close')
  return shown
}
