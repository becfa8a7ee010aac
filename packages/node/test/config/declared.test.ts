import { chmod, mkdir, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { openStore } from '@stored/node'
import { addBackendToFile, loadConfig } from '@stored/node/config'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type TempDirectory, temp } from '../temp.ts'

/** A driver that tells what it was given, and lists its secrets and paths. */
const MODULE = `
import { MemoryBackend } from '@stored/core/backend'
export const secrets = ['code', 'identity']
export const paths = ['root', 'hosts']
export const driver = (options) => Object.assign(new MemoryBackend(), { options })
`
const FILE = 'stored.config.json'

let dir: TempDirectory
beforeEach(async () => {
  dir = await temp()
  // As where an application has it installed.
  await mkdir(path.join(dir.path, 'node_modules/@stored/core'), { recursive: true })
  const real = import.meta.resolve('@stored/core/backend')
  const entries = { './backend': './backend.mjs' }
  await write('node_modules/@stored/core/package.json', JSON.stringify({ name: '@stored/core', exports: entries }))
  await write('node_modules/@stored/core/backend.mjs', `export * from ${JSON.stringify(real)}`)
  await write('mine.mjs', MODULE)
})
afterEach(() => dir[Symbol.asyncDispose]())

async function write(name: string, text: string): Promise<string> {
  const file = path.join(dir.path, name)
  await writeFile(file, text)
  return file
}

async function load(options: Record<string, unknown>, env: Record<string, string | undefined> = {}) {
  const mine = { driver: './mine.mjs', ...options }
  await write(FILE, JSON.stringify({ path: 'store', backends: { mine } }))
  return loadConfig({ cwd: dir.path, env })
}

type Loaded = Awaited<ReturnType<typeof load>>

function optionOf({ config }: Loaded, name: string): unknown {
  return (config.backends.mine as unknown as Record<string, unknown>)[name]
}

/** What the function gives that a secret became. */
async function ask(loaded: Loaded, name: string): Promise<unknown> {
  const secret = optionOf(loaded, name)
  if (typeof secret !== 'function') throw new TypeError(`${name} is a ${typeof secret}`)
  return secret()
}

function shown({ origins }: Loaded, option: string): unknown {
  return origins.find((origin) => origin.option === `backends.mine.${option}`)?.value
}

describe('an option that its driver lists as a secret', () => {
  test('is read anew each time it is asked for: from its file', async () => {
    await write('code.txt', 'first\n')
    const loaded = await load({ code: { file: 'code.txt' } })
    expect(await ask(loaded, 'code')).toBe('first')
    await write('code.txt', 'second\n')
    expect(await ask(loaded, 'code')).toBe('second')
  })

  test('is read anew each time it is asked for: from its variable', async () => {
    const env: Record<string, string | undefined> = { CODE: 'first' }
    const loaded = await load({ code: { env: 'CODE' } }, env)
    env.CODE = 'second'
    expect(await ask(loaded, 'code')).toBe('second')
  })

  test('may be several together, of which each that is elsewhere is read anew', async () => {
    await write('key.txt', 'first')
    const loaded = await load({ identity: { id: 'me', key: { file: 'key.txt' } } })
    await write('key.txt', 'second')
    expect(await ask(loaded, 'identity')).toEqual({ id: 'me', key: 'second' })
  })

  test('rejects, naming the place and not the secret, when it cannot be read any more', async () => {
    const file = await write('code.txt', 'first')
    const loaded = await load({ code: { file: 'code.txt' } })
    await rm(file)
    await expect(ask(loaded, 'code')).rejects.toMatchObject({
      code: 'MISCONFIGURED',
      detail: 'stored.config.json:1: backends.mine.code names the file code.txt, which cannot be read: ENOENT',
    })
  })

  test.each([
    [{ file: 'none.txt' }, 'names the file none.txt, which cannot be read: ENOENT'],
    [{ env: 'NONE' }, 'names the variable NONE, which is not set'],
    [{ env: 'A', file: 'b' }, 'names either "env" or "file", not both'],
  ])('is checked when the configuration is loaded: %j', async (code, text) => {
    const detail = `stored.config.json:1: backends.mine.code ${text}`
    await expect(load({ code })).rejects.toMatchObject({ code: 'MISCONFIGURED', detail })
  })

  test('is given as it is where it is written out', async () => {
    const loaded = await load({ code: 'x-y-z', identity: { id: 'me' } })
    expect([optionOf(loaded, 'code'), optionOf(loaded, 'identity')]).toEqual(['x-y-z', { id: 'me' }])
  })

  test('is hidden, wherever it was given and whatever its name', async () => {
    const env = { CODE: 'x-y-z', STORED_BACKENDS__MINE__IDENTITY__ID: 'x-y-z' }
    const loaded = await load({ code: { env: 'CODE' } }, env)
    expect([shown(loaded, 'code'), shown(loaded, 'identity.id')]).toEqual(['•••', '•••'])
    expect(shown(await load({ code: 'x-y-z', identity: ['x-y-z'] }), 'code')).toBe('•••')
    expect(JSON.stringify((await load({ identity: ['x-y-z'] })).origins)).not.toContain('x-y-z')
  })

  test('is warned of when it is written out in a file that others may read', async () => {
    const file = await write(FILE, '')
    await chmod(file, 0o644)
    expect((await load({ code: 'x-y-z' })).warnings).toMatchObject([expect.stringContaining('holds a secret')])
    expect((await load({ code: { env: 'CODE' } }, { CODE: 'x' })).warnings).toEqual([])
  })
})

describe('an option that its driver does not list', () => {
  test('is replaced by the text that it refers to', async () => {
    expect(optionOf(await load({ other: { env: 'OTHER' } }, { OTHER: 'text' }), 'other')).toBe('text')
  })
})

describe('an option that its driver lists as a path', () => {
  test('counts from the file that holds it', async () => {
    const loaded = await load({ root: 'data', hosts: '../hosts', other: 'data' })
    expect([optionOf(loaded, 'root'), optionOf(loaded, 'hosts'), optionOf(loaded, 'other')]).toEqual([
      path.join(dir.path, 'data'),
      path.join(path.dirname(dir.path), 'hosts'),
      'data',
    ])
  })

  test('is written as seen from the file when a backend is added from elsewhere', async () => {
    const file = await write(FILE, '{ "path": "store", "backends": {} }')
    const cwd = path.join(dir.path, 'below')
    await mkdir(cwd)
    await addBackendToFile(file, 'mine', { driver: '../mine.mjs', root: 'data', other: 'data' }, { cwd })
    const { config } = await loadConfig({ cwd: dir.path, env: {} })
    expect(config.backends.mine).toMatchObject({ root: path.join(cwd, 'data'), other: 'data' })
  })
})

describe('loadConfig() of a driver that', () => {
  test('is not installed goes by the names of its options alone', async () => {
    await rm(path.join(dir.path, 'mine.mjs'))
    const loaded = await load({ root: 'data', password: { env: 'PW' } }, { PW: '12' })
    expect([optionOf(loaded, 'root'), optionOf(loaded, 'password')]).toEqual(['data', '12'])
    expect(shown(loaded, 'password')).toBe('•••')
  })

  test('cannot be loaded does as well; opening the store says why', async () => {
    await write('mine.mjs', 'throw new Error("broken")')
    const loaded = await load({ code: 'x' })
    expect(optionOf(loaded, 'code')).toBe('x')
    await expect(openStore(loaded.config)).rejects.toMatchObject({ code: 'MISCONFIGURED' })
  })
})

test('openStore() refuses a driver whose list of secrets is none', async () => {
  await write('mine.mjs', `${MODULE.replace("['code', 'identity']", "'code'")}`)
  const { config } = await load({})
  const detail = expect.stringContaining('"secrets"')
  await expect(openStore(config)).rejects.toMatchObject({ code: 'MISCONFIGURED', detail })
})
