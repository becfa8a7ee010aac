import { execFile } from 'node:child_process'
import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { openStore } from '@stored/node'
import { findConfigFile, loadConfig, type Origin } from '@stored/node/config'
import { describe, expect, test } from 'vitest'
import { type TempDirectory, temp } from '../temp.ts'
import { load } from './load.ts'

const FILE = 'stored.config.json'
const PACKAGE = fileURLToPath(new URL('../..', import.meta.url))

/** A file whose backend has these further options. */
function withBackend(options: object): { [FILE]: string } {
  return { [FILE]: JSON.stringify({ path: 's', backends: { usb: { driver: 'fs', ...options } } }) }
}

function origin(origins: readonly Origin[], option: string): Origin | undefined {
  return origins.find((each) => each.option === option)
}

async function write(dir: TempDirectory, name: string, text: string): Promise<string> {
  const file = path.join(dir.path, name)
  await mkdir(path.dirname(file), { recursive: true })
  await writeFile(file, text)
  return file
}

describe('loadConfig() reads', () => {
  test('JSON with comments, trailing commas, a mark of byte order and a $schema', async () => {
    const text = `\uFEFF// mine\n{ "$schema": "x", /* here */ "path": "s", "backends": {}, "checksums": ["md5",], }`
    const { config, file, warnings } = await load({ files: { [FILE]: text } })
    expect(config).toEqual({ path: 'DIR/s', backends: {}, checksums: ['md5'] })
    expect({ file, warnings }).toEqual({ file: 'DIR/stored.config.json', warnings: [] })
  })

  test.each([
    ['stored.config.ts', "const layout: 'key' | 'id' = 'id'\n"],
    ['stored.config.js', "const layout = 'id'\n"],
    ['stored.config.mjs', "const layout = 'id'\n"],
  ])('%s, and what it computes', async (name, head) => {
    const text = `${head}export const config = { path: 's', cache: undefined, backends: { a: { driver: 'fs', root: 'r', layout } } }`
    const { config } = await load({ files: { 'package.json': '{ "type": "module" }', [name]: text } })
    expect(config).toEqual({ path: 'DIR/s', backends: { a: { driver: 'fs', root: 'DIR/r', layout: 'id' } } })
  })

  test('a module whose backends are objects and whose secrets are functions, left as they are', async () => {
    await using dir = await temp()
    const text = `class Backend { put() {} }\nexport const a = new Backend()\nexport const token = () => 'x'
      export const config = { path: 's', backends: { a, b: { backend: a, layout: 'id' }, c: { driver: 'x', token } } }`
    const file = await write(dir, 'stored.config.mjs', text)
    const module = await import(file)
    const { config, origins } = await loadConfig({ cwd: dir.path, env: {} })
    expect(config.backends).toEqual({
      a: module.a,
      b: { backend: module.a, layout: 'id' },
      c: { driver: 'x', token: module.token },
    })
    expect(config.backends.a).toBe(module.a)
    expect(origin(origins, 'backends.a')?.value).toBe('(Backend)')
    expect(origin(origins, 'backends.c.token')?.value).toBe('•••')
  })

  test('the file nearest above the working directory, and paths from there', async () => {
    await using dir = await temp()
    await write(dir, FILE, '{}')
    const file = await write(dir, `project/${FILE}`, '{ "path": ".stored", "backends": {} }')
    const cwd = path.join(dir.path, 'project/a/b')
    await mkdir(cwd, { recursive: true })
    expect(await findConfigFile(cwd)).toBe(file)
    const { config, origins } = await loadConfig({ cwd, env: { STORED_CACHE__LOCATION: 'c' }, overrides: {} })
    expect(config).toMatchObject({
      path: path.join(dir.path, 'project/.stored'),
      cache: { location: path.join(cwd, 'c') },
    })
    expect(origin(origins, 'path')?.where).toBe(`../../${FILE}:1`)
  })

  test('the file it is told, which holds against STORED_CONFIG, which holds against what it would find', async () => {
    await using dir = await temp()
    for (const name of [FILE, 'b.json', 'c.json']) await write(dir, name, `{ "path": "/${name}", "backends": {} }`)
    const env = { STORED_CONFIG: 'b.json' }
    expect((await loadConfig({ cwd: dir.path, env: {} })).config.path).toBe(`/${FILE}`)
    expect((await loadConfig({ cwd: dir.path, env })).config.path).toBe('/b.json')
    expect((await loadConfig({ cwd: dir.path, env, file: 'c.json' })).config.path).toBe('/c.json')
  })

  test('flags over variables over the file, and says so', async () => {
    const files = {
      [FILE]: '{\n"path": "s", "backends": {},\n"prefix": "file", "sync": true,\n"cache": { "maxSize": 1 } }',
    }
    const env = { STORED_PREFIX: 'env', STORED_CACHE__MAX_SIZE: '2', STORED_RESERVE: '5', STORED_STAGING__LIMIT: '' }
    const { config, origins } = await load({
      files,
      env,
      overrides: { 'cache.maxSize': '3', sync: false, reserve: undefined },
    })
    expect(config).toEqual({
      path: 'DIR/s',
      backends: {},
      prefix: 'env',
      sync: false,
      reserve: 5,
      cache: { maxSize: 3 },
    })
    expect(origins.map(({ option, value, from, where }) => [option, value, from, where])).toEqual([
      ['path', 'DIR/s', 'file', 'stored.config.json:2'],
      ['prefix', 'env', 'environment', 'STORED_PREFIX'],
      ['sync', false, 'flag', '--sync'],
      ['cache.maxSize', 3, 'flag', '--cache.maxSize'],
      ['reserve', 5, 'environment', 'STORED_RESERVE'],
      ['defaultBackends', 'all backends', 'default', 'default'],
      ['checksums', ['sha256'], 'default', 'default'],
      ['allowNetworkFileSystem', false, 'default', 'default'],
      ['mode', '0700', 'default', 'default'],
      ['staging.limit', 'a quarter of the disk', 'default', 'default'],
      ['staging.whenFull', 'wait', 'default', 'default'],
      ['cache.location', '"cache" in the directory of the store', 'default', 'default'],
      ['cache.evictionPolicy', 'lru', 'default', 'default'],
    ])
  })
})

describe('loadConfig() reads the environment alone', () => {
  test('with every option', async () => {
    const env = {
      STORED_PATH: '42',
      STORED_BACKENDS__LOCAL__DRIVER: 'fs',
      STORED_BACKENDS__LOCAL__ROOT: 'data',
      STORED_BACKENDS__LOCAL__BYTES_IN_FLIGHT: '1000',
      STORED_DEFAULT_BACKENDS: 'local, far-away',
      STORED_CHECKSUMS: '["sha256","md5"]',
      STORED_PREFIX: 'true',
      STORED_SYNC: 'false',
      STORED_RESERVE: '0',
      STORED_ALLOW_NETWORK_FILE_SYSTEM: 'true',
      STORED_MODE: '0770',
      STORED_STAGING__LIMIT: '500 MB',
      STORED_STAGING__WHEN_FULL: 'refuse',
      STORED_CACHE: '{"evictionPolicy":"fifo"}',
      STORED_CACHE__MAX_SIZE: '1000',
      'STORED_BACKENDS__far-away__DRIVER': 's3',
      HOME: '/root',
    }
    const { config, file } = await load({ env })
    expect(file).toBeNull()
    expect(config).toEqual({
      path: 'DIR/42',
      backends: { local: { driver: 'fs', root: 'DIR/data', bytesInFlight: 1000 }, 'far-away': { driver: 's3' } },
      defaultBackends: ['local', 'far-away'],
      checksums: ['sha256', 'md5'],
      prefix: 'true',
      sync: false,
      reserve: 0,
      allowNetworkFileSystem: true,
      mode: '0770',
      staging: { limit: '500 MB', whenFull: 'refuse' },
      cache: { evictionPolicy: 'fifo', maxSize: 1000 },
    })
  })

  test.each([
    ['FORCE_PATH_STYLE', 'true', { forcePathStyle: true }],
    ['forcePathStyle', 'true', { forcePathStyle: true }],
    ['PART_SIZE', '5242880', { partSize: 5242880 }],
    ['BUCKET', '007', { bucket: '007' }],
    ['BUCKET', '12345678901234567890', { bucket: '12345678901234567890' }],
    ['BUCKET', '"12"', { bucket: '12' }],
    ['SECRET_ACCESS_KEY', '123', { secretAccessKey: '123' }],
    ['AUTH__PASSWORD', 'null', { auth: { password: 'null' } }],
    ['TAGS', '{"a":[1]}', { tags: { a: [1] } }],
  ])('an option of a driver: %s=%s', async (name, text, expected) => {
    const env = { STORED_PATH: 's', STORED_BACKENDS__B__DRIVER: 's3', [`STORED_BACKENDS__B__${name}`]: text }
    expect((await load({ env })).config.backends).toEqual({ b: { driver: 's3', ...expected } })
  })

  test('with the name of a backend as the file spells it', async () => {
    const files = { [FILE]: '{ "path": "s", "backends": { "S3-prod": { "driver": "s3" } } }' }
    const env = { STORED_BACKENDS__S3_PROD__BUCKET: 'b', STORED_BACKENDS__NEW_ONE__DRIVER: 'fs' }
    const { config } = await load({ files, env })
    expect(config.backends).toEqual({ 'S3-prod': { driver: 's3', bucket: 'b' }, new_one: { driver: 'fs' } })
  })

  test('a flag for a backend whose name holds dots', async () => {
    const files = { [FILE]: '{ "path": "s", "backends": { "a": { "driver": "fs" }, "a.b": { "driver": "fs" } } }' }
    const { config } = await load({ files, overrides: { 'backends.a.b.root': '/x', 'backends.a.root': '/y' } })
    expect(config.backends).toEqual({ a: { driver: 'fs', root: '/y' }, 'a.b': { driver: 'fs', root: '/x' } })
  })
})

describe('loadConfig() puts secrets in their places', () => {
  test('from variables and files, which are named from the directory of the file', async () => {
    const backend = { id: 'me', password: { env: 'PW' }, auth: { key: { file: 'key.txt' } }, keys: [{ env: 'PW' }] }
    const files = { ...withBackend(backend), 'key.txt': 'line 1\nline 2\n' }
    const { config, origins, warnings } = await load({ files, env: { PW: '12' } })
    expect(config.backends.usb).toMatchObject({
      id: 'me',
      password: '12',
      auth: { key: 'line 1\nline 2' },
      keys: ['12'],
    })
    expect(warnings).toEqual([])
    expect(JSON.stringify(origins)).not.toMatch(/"12"|line/)
    expect(origin(origins, 'backends.usb.password')).toEqual({
      option: 'backends.usb.password',
      value: '•••',
      from: 'file',
      where: 'stored.config.json:1 (env PW)',
    })
    expect(origin(origins, 'backends.usb.auth.key')?.where).toBe('stored.config.json:1 (file key.txt)')
    expect(origin(origins, 'backends.usb.keys')?.value).toEqual(['•••'])
    expect(origin(origins, 'backends.usb.id')?.value).toBe('me')
  })

  test('named by a variable, also where the file names another', async () => {
    const files = { ...withBackend({ password: { env: 'A' } }), 'pw.txt': 'from the file' }
    const env = { STORED_BACKENDS__USB__PASSWORD__FILE: 'pw.txt', A: 'a' }
    expect((await load({ files, env })).config.backends.usb).toMatchObject({ password: 'from the file' })
  })

  test('and leaves alone what only looks like a place', async () => {
    const options = { env: { PATH: '/bin', env: 'x' }, list: [{ file: 'a', mode: 1 }] }
    expect((await load({ files: withBackend(options) })).config.backends.usb).toMatchObject(options)
  })

  test.each([
    ['a name', { accessKey: 'x-y-z' }],
    ['a name further up', { credentials: { user: 'x-y-z' } }],
    ['a URL', { endpoint: 'https://me:x-y-z@host/' }],
    ['a connection string', { url: 'Endpoint=a;AccountKey=x-y-z' }],
    ['a private key', { pem: '-----BEGIN PRIVATE KEY-----\nx-y-z' }],
    ['an item of a list', { users: [{ name: 'me', password: 'x-y-z' }] }],
  ])('and hides what is one by %s, wherever it was given', async (_, options) => {
    const inFile = await load({ files: withBackend(options) })
    const env = { STORED_BACKENDS: JSON.stringify({ usb: { driver: 'fs', ...options } }) }
    const inEnv = await load({ files: withBackend({}), env })
    expect(JSON.stringify([inFile.origins, inEnv.origins])).not.toContain('x-y-z')
    expect(JSON.stringify(inFile.config)).toContain('x-y-z')
  })

  test('and warns of those that others may read in the file', async () => {
    await using dir = await temp()
    const file = await write(dir, FILE, withBackend({ password: 'x-y-z' })[FILE])
    await chmod(file, 0o640)
    const { warnings } = await loadConfig({ cwd: dir.path, env: {} })
    expect(warnings).toEqual([
      'stored.config.json holds a secret and others may read it (mode 0640): chmod 600 stored.config.json',
    ])
    await chmod(file, 0o600)
    expect((await loadConfig({ cwd: dir.path, env: {} })).warnings).toEqual([])
  })
})

describe('openStore() of a loaded configuration', () => {
  async function packageAt(dir: TempDirectory): Promise<void> {
    await mkdir(path.join(dir.path, 'node_modules/@stored'), { recursive: true })
    const driver = fileURLToPath(new URL('../../../../drivers/fs', import.meta.url))
    await symlink(driver, path.join(dir.path, 'node_modules/@stored/driver-fs'))
  }

  test('stores and gives back', async () => {
    await using dir = await temp()
    await write(dir, FILE, '{ "path": "store", "backends": { "usb": { "driver": "fs", "root": "data" } } }')
    const { config } = await loadConfig({ cwd: dir.path, env: {} })
    await using store = await openStore(config)
    await store.put(Buffer.from('hello'), { key: 'k' })
    await store.synced()
    expect(await store.get('k', { backend: 'usb' })).toEqual(Buffer.from('hello'))
  })

  test('finds drivers from the directory of the file: packages and modules', async () => {
    await using dir = await temp()
    await packageAt(dir)
    await write(dir, 'mine.mjs', "export { driver } from '@stored/driver-fs'")
    const backends = { a: { driver: 'fs', root: 'a' }, b: { driver: './mine.mjs', root: path.join(dir.path, 'b') } }
    const file = await write(dir, FILE, JSON.stringify({ path: 'store', backends }))
    await using store = await openStore((await loadConfig({ cwd: '/', file, env: {} })).config)
    expect((await store.listBackends()).map(({ driver }) => driver)).toEqual(['fs', 'fs'])
  })

  test.each([
    ['"rot": "data"', 6, 'unknown option "rot"; did you mean "root"?'],
    [
      '"root": "data",\n      "layot": "id"',
      7,
      'unknown option "layot"; known: root, fsync, symlinks; did you mean "layout"?',
    ],
    ['"root": 7', 6, 'option "root" must be the path of a directory, not number'],
    ['"fsync": true', 4, 'option "root" is missing: it must be the path of a directory'],
  ])('says where the option is that its driver refuses: %j', async (option, line, detail) => {
    await using dir = await temp()
    const head = '{\n  "path": "store",\n  "backends": {\n    "usb": {\n      "driver": "fs",\n'
    await write(dir, FILE, `${head}      ${option}\n    }\n  }\n}`)
    const { config } = await loadConfig({ cwd: dir.path, env: {} })
    const message = `stored.config.json:${line}: backends.usb: ${detail}`
    await expect(openStore(config)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT', detail: message })
  })

  test('says where the driver is named that cannot be found', async () => {
    await using dir = await temp()
    const env = { STORED_PATH: 'store', STORED_BACKENDS__USB__DRIVER: 'fss' }
    const { config } = await loadConfig({ cwd: dir.path, env })
    const message = /^STORED_BACKENDS__USB__DRIVER: backends\.usb: no driver "fss".*did you mean "fs"\?$/
    await expect(openStore(config)).rejects.toMatchObject({
      code: 'MISCONFIGURED',
      detail: expect.stringMatching(message),
    })
  })
})

test('@stored/node/config loads nothing that opens a store', async () => {
  const program = `import { registerHooks } from 'node:module'
    const loaded = []
    registerHooks({ load: (url, context, next) => { loaded.push(url); return next(url, context) } })
    await import('@stored/node/config')
    console.log(JSON.stringify(loaded))`
  const args = ['--input-type=module', '--eval', program]
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: PACKAGE })
  const loaded = JSON.parse(stdout) as string[]
  const strange = loaded.filter(
    (url) =>
      !/^node:|\/node\/src\/(check-config|config|byte-size|drivers|find-module|invalid)|\/core\/src\/backend|\/jsonc-parser\//.test(
        url,
      ),
  )
  expect(strange).toEqual([])
  expect(loaded.length).toBeGreaterThan(10)
})
