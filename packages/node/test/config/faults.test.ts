import { describe, expect, test } from 'vitest'
import { type Given, load } from './load.ts'

const FILE = 'stored.config.json'
const SOUND = '{ "path": "store", "backends": { "usb": { "driver": "fs", "root": "data" } } }'
/** More than a MiB of it. */
const LONG = ' '.repeat(2 << 20)
const SECRET = 'hunter2-hunter2'

/** A sound file, and one more option in its line 4. */
function option(text: string): string {
  return `{\n  "path": "store",\n  "backends": { "usb": { "driver": "fs", "root": "data" } },\n  ${text}\n}`
}

/** A sound file, and one more option of its backend in line 6. */
function ofBackend(text: string): string {
  return `{\n  "path": "store",\n  "backends": {\n    "usb": {\n      "driver": "fs",\n      ${text}\n    }\n  }\n}`
}

async function faultOf(given: Given): Promise<string> {
  const loading = load(given)
  await expect(loading).rejects.toMatchObject({ name: 'StorageError' })
  const error = await loading.catch((error) => error)
  return `${error.code} ${error.detail}`
}

describe('loadConfig() refuses the file', () => {
  const SIZE = 'a number of bytes from 1, or a text like "500 MB" or "1GiB"'
  test.each([
    ['that is empty', '', 'MISCONFIGURED stored.config.json:1:1: not JSON: value expected'],
    [
      'with a comma left out',
      '{\n  "path": "store"\n  "backends": {}\n}',
      'MISCONFIGURED stored.config.json:3:3: not JSON: comma expected',
    ],
    ['with an open brace', '{\n  "path": "x"', 'MISCONFIGURED stored.config.json:2:14: not JSON: close brace expected'],
    ['that holds a list', '[]', 'MISCONFIGURED stored.config.json:1: the configuration must be an object, not array'],
    [
      'with an option given twice',
      '{\n  "path": "a",\n  "path": "b"\n}',
      'MISCONFIGURED stored.config.json:3: "path" is given twice, first at stored.config.json:2',
    ],
    [
      'with nothing in it, naming all that is missing',
      '{}',
      'INVALID_ARGUMENT stored.config.json:1: path is missing\nstored.config.json:1: backends is missing',
    ],
    [
      'with an option misspelled',
      '{\n  "backend": {}\n}',
      'INVALID_ARGUMENT stored.config.json:2: unknown option "backend"; did you mean "backends"?\nstored.config.json:1: path is missing',
    ],
    [
      'with an option that nothing comes near',
      option('"colour": "red"'),
      'INVALID_ARGUMENT stored.config.json:4: unknown option "colour"; known: path, backends, defaultBackends, checksums, prefix, sync, reserve, allowNetworkFileSystem, mode, staging, cache',
    ],
    [
      'with the prototype of objects as an option',
      option('"__proto__": {}'),
      'INVALID_ARGUMENT stored.config.json:4: unknown option "__proto__"; known: path, backends, defaultBackends, checksums, prefix, sync, reserve, allowNetworkFileSystem, mode, staging, cache',
    ],
    [
      'with a path that is a number',
      '{\n  "backends": {},\n  "path": 7\n}',
      'INVALID_ARGUMENT stored.config.json:3: path must be a string, not number',
    ],
    [
      'with an empty path',
      '{\n  "backends": {},\n  "path": ""\n}',
      'INVALID_ARGUMENT stored.config.json:3: path must be a string, not an empty string',
    ],
    [
      'with a list of backends',
      '{\n  "path": "store",\n  "backends": []\n}',
      'INVALID_ARGUMENT stored.config.json:3: backends must be an object, not array',
    ],
    [
      'with checksums that are no list',
      option('"checksums": "sha256"'),
      'INVALID_ARGUMENT stored.config.json:4: checksums must be an array, not string',
    ],
    [
      'with a checksum misspelled, naming its own line',
      option('"checksums": [\n    "sha256",\n    "sha265"\n  ]'),
      'INVALID_ARGUMENT stored.config.json:6: checksums[1] must be "sha256", "sha1", "md5", "crc32", "crc32c", "crc64nvme" or "xxh3", not this string; did you mean "sha256"?',
    ],
    [
      'with a checksum that is null',
      option('"checksums": [null]'),
      'INVALID_ARGUMENT stored.config.json:4: checksums[0] must be "sha256", "sha1", "md5", "crc32", "crc32c", "crc64nvme" or "xxh3", not null',
    ],
    [
      'with a default that is no backend',
      option('"defaultBackends": ["ubs"]'),
      'INVALID_ARGUMENT stored.config.json:4: defaultBackends[0] must be the name of a backend, not this string; did you mean "usb"?',
    ],
    [
      'with a switch that is a text',
      option('"sync": "no"'),
      'INVALID_ARGUMENT stored.config.json:4: sync must be true or false, not string',
    ],
    [
      'with a reserve below zero',
      option('"reserve": -1'),
      'INVALID_ARGUMENT stored.config.json:4: reserve must be a whole number from 0, not this number',
    ],
    [
      'with a reserve that is a text',
      option('"reserve": "1GB"'),
      'INVALID_ARGUMENT stored.config.json:4: reserve must be a whole number from 0, not string',
    ],
    [
      'with a prefix that climbs',
      option('"prefix": "a/../b"'),
      'INVALID_ARGUMENT stored.config.json:4: prefix must be the first part of a key, not this string; a segment between slashes must not be empty, "." or ".."',
    ],
    [
      'with staging that is null',
      option('"staging": null'),
      'INVALID_ARGUMENT stored.config.json:4: staging must be an object, not null',
    ],
    [
      'with a choice that is a number',
      option('"staging": { "whenFull": 1 }'),
      'INVALID_ARGUMENT stored.config.json:4: staging.whenFull must be "wait" or "refuse", not number',
    ],
    [
      'with a cache that is true',
      option('"cache": true'),
      'INVALID_ARGUMENT stored.config.json:4: cache must be an object or false, not boolean',
    ],
    [
      'with an inner option misspelled',
      option('"cache": {\n    "maxsize": "1GB"\n  }'),
      'INVALID_ARGUMENT stored.config.json:5: unknown option "cache.maxsize"; did you mean "cache.maxSize"?',
    ],
    [
      'with a size that is none',
      option('"cache": { "maxSize": "1 XB" }'),
      `INVALID_ARGUMENT stored.config.json:4: cache.maxSize must be ${SIZE}, not this string`,
    ],
    [
      'with a size that is a list',
      option('"staging": { "limit": [] }'),
      `INVALID_ARGUMENT stored.config.json:4: staging.limit must be ${SIZE}, not array`,
    ],
    [
      'with a choice misspelled',
      option('"cache": { "evictionPolicy": "lfu" }'),
      'INVALID_ARGUMENT stored.config.json:4: cache.evictionPolicy must be "lru" or "fifo", not this string; did you mean "lru"?',
    ],
    [
      'with a backend that is a text',
      '{\n  "path": "store",\n  "backends": {\n    "usb": "fs"\n  }\n}',
      'INVALID_ARGUMENT stored.config.json:4: backends.usb must be an object, not string',
    ],
    [
      'with a backend without a driver',
      '{\n  "path": "store",\n  "backends": {\n    "usb": { "drvier": "fs" }\n  }\n}',
      'INVALID_ARGUMENT stored.config.json:4: backends.usb.driver is missing; is it "drvier"?',
    ],
    [
      'with a name that no backend has',
      '{\n  "path": "store",\n  "backends": {\n    "a b": { "driver": "fs" }\n  }\n}',
      'INVALID_ARGUMENT stored.config.json:4: "a b" is not a backend name: use letters, digits, ".", "_", "-", at most 64',
    ],
    [
      'with a layout misspelled',
      ofBackend('"layout": "keys"'),
      'INVALID_ARGUMENT stored.config.json:6: backends.usb.layout must be "key" or "id", not this string; did you mean "key"?',
    ],
    [
      'with no jobs at a time',
      ofBackend('"concurrency": 0'),
      'INVALID_ARGUMENT stored.config.json:6: backends.usb.concurrency must be a whole number from 1, not this number',
    ],
    [
      'with a secret in a variable that is not set',
      ofBackend('"password": { "env": "USB_PASSWORD" }'),
      'MISCONFIGURED stored.config.json:6: backends.usb.password names the variable USB_PASSWORD, which is not set',
    ],
    [
      'with a secret in a file that is not there',
      ofBackend('"password": { "file": "password.txt" }'),
      'MISCONFIGURED stored.config.json:6: backends.usb.password names the file password.txt, which cannot be read: ENOENT',
    ],
    [
      'with a secret in a file that has no end',
      ofBackend('"password": { "file": "/dev/zero" }'),
      'MISCONFIGURED stored.config.json:6: backends.usb.password names the file /dev/zero, which cannot be read: EFBIG',
    ],
    [
      'with a secret in two places',
      ofBackend('"auth": { "password": { "file": "a", "env": "B" } }'),
      'MISCONFIGURED stored.config.json:6: backends.usb.auth.password names either "env" or "file", not both',
    ],
    [
      'with a secret in a file without a name',
      ofBackend('"keys": [{ "file": 7 }]'),
      'MISCONFIGURED stored.config.json:6: backends.usb.keys[0] names a file by a string, not number',
    ],
  ])('%s', async (_, text, message) => {
    expect(await faultOf({ files: { [FILE]: text } })).toBe(message)
  })
})

describe('loadConfig() refuses the environment', () => {
  test.each([
    ['a variable misspelled', { STORED_PATHH: 'x' }, 'STORED_PATHH: unknown variable; did you mean STORED_PATH?'],
    [
      'one underscore where two are needed',
      { STORED_CACHE_MAX_SIZE: '1GB' },
      'STORED_CACHE_MAX_SIZE: unknown variable; did you mean STORED_CACHE__MAX_SIZE?',
    ],
    [
      'the first part misspelled',
      { STORED_BACKEND__USB__ROOT: '/mnt' },
      'STORED_BACKEND__USB__ROOT: unknown variable; did you mean STORED_BACKENDS__USB__ROOT?',
    ],
    [
      'what nothing comes near',
      { STORED_XYZZY: '1' },
      'STORED_XYZZY: unknown variable; known: STORED_PATH, STORED_BACKENDS, STORED_DEFAULT_BACKENDS, STORED_CHECKSUMS, STORED_PREFIX, STORED_SYNC, STORED_RESERVE, STORED_ALLOW_NETWORK_FILE_SYSTEM, STORED_MODE, STORED_STAGING, STORED_CACHE',
    ],
    ['an option below a text', { STORED_PATH__X: '1' }, 'STORED_PATH__X: path must be a string, not object'],
    ['a text for a switch', { STORED_SYNC: 'yes' }, 'STORED_SYNC: sync must be true or false, not string'],
    [
      'a list with a name that is none',
      { STORED_DEFAULT_BACKENDS: 'usb, ubs' },
      'STORED_DEFAULT_BACKENDS: defaultBackends[1] must be the name of a backend, not this string; did you mean "usb"?',
    ],
    ['JSON that breaks off', { STORED_BACKENDS: '{"usb":' }, 'STORED_BACKENDS: backends must be an object, not string'],
    [
      'two variables that cannot both be meant',
      { STORED_CACHE: 'false', STORED_CACHE__MAX_SIZE: '1GB' },
      'STORED_CACHE__MAX_SIZE: contradicts STORED_CACHE',
    ],
    [
      'a backend without a driver',
      { STORED_BACKENDS__NAS__ROOT: '/mnt' },
      'STORED_BACKENDS__NAS__ROOT: backends.nas.driver is missing: set STORED_BACKENDS__NAS__DRIVER',
    ],
    [
      'a choice misspelled, of a backend in the file',
      { STORED_BACKENDS__USB__LAYOUT: 'ids' },
      'STORED_BACKENDS__USB__LAYOUT: backends.usb.layout must be "key" or "id", not this string; did you mean "id"?',
    ],
  ])('%s', async (_, env, message) => {
    expect(await faultOf({ files: { [FILE]: SOUND }, env })).toBe(`INVALID_ARGUMENT ${message}`)
  })

  test('that names no backend, and stands alone', async () => {
    const fault = await faultOf({ env: { STORED_PATH: 'store' } })
    expect(fault).toBe('INVALID_ARGUMENT environment: backends is missing: set STORED_BACKENDS')
  })

  test('a name that may be that of two backends', async () => {
    const file = '{ "path": "s", "backends": { "a-b": { "driver": "fs" }, "a.b": { "driver": "fs" } } }'
    const fault = await faultOf({ files: { [FILE]: file }, env: { STORED_BACKENDS__A_B__ROOT: 'x' } })
    expect(fault).toBe('INVALID_ARGUMENT STORED_BACKENDS__A_B__ROOT: may mean the backend a-b or a.b')
  })
})

test('loadConfig() refuses a flag, named as it was given', async () => {
  const fault = await faultOf({ files: { [FILE]: SOUND }, overrides: { 'cache.maxSiz': 5 } })
  expect(fault).toBe('INVALID_ARGUMENT --cache.maxSiz: unknown option "cache.maxSiz"; did you mean "cache.maxSize"?')
})

describe('loadConfig() refuses', () => {
  test.each<[string, Given, string]>([
    [
      'when there is nothing to load',
      {},
      'DIR: no stored.config.json, .ts, .js or .mjs here or above, and no STORED_* variable',
    ],
    [
      'two files in one directory',
      { files: { [FILE]: SOUND, 'stored.config.ts': '' } },
      'DIR: found stored.config.json and stored.config.ts: keep one',
    ],
    ['a file that is not there', { file: 'other.json' }, 'other.json: cannot be read: ENOENT'],
    ['a file that is longer than a person writes', { files: { [FILE]: LONG } }, `${FILE}: cannot be read: EFBIG`],
    ['a module that is not there', { env: { STORED_CONFIG: 'other.ts' } }, 'other.ts: cannot be read: ENOENT'],
    ['another format', { file: 'stored.yaml' }, 'stored.yaml: a configuration file ends in .json, .ts, .js, .mjs'],
    [
      'a module without a configuration',
      { files: { 'stored.config.mjs': 'export const conf = {}' } },
      'stored.config.mjs: it exports no "config"',
    ],
    [
      'a module whose configuration is a function',
      { files: { 'stored.config.mjs': 'export const config = () => ({})' } },
      'stored.config.mjs: "config" must be an object, not function',
    ],
    [
      'a module that throws',
      { files: { 'stored.config.mjs': `throw new RangeError('${SECRET}')` } },
      'stored.config.mjs: cannot be loaded: RangeError',
    ],
  ])('%s', async (_, given, message) => {
    expect(await faultOf(given)).toBe(`MISCONFIGURED ${message}`)
  })

  test('several faults at once, a line each', async () => {
    const fault = await faultOf({ files: { [FILE]: option('"sync": 1,\n  "prefix": 2') }, env: { STORED_CASHE: '1' } })
    expect(fault.split('\n')).toEqual([
      'INVALID_ARGUMENT stored.config.json:4: sync must be true or false, not number',
      'stored.config.json:5: prefix must be the first part of a key, not number',
      'STORED_CASHE: unknown variable; did you mean STORED_CACHE?',
    ])
  })

  test.each([
    ['a path', `{ "path": ["${SECRET}"], "backends": {} }`],
    ['a choice', option(`"cache": { "evictionPolicy": "${SECRET}" }`)],
    ['a size', option(`"cache": { "maxSize": "${SECRET}" }`)],
    ['a checksum', option(`"checksums": ["${SECRET}"]`)],
    ['a default backend', option(`"defaultBackends": ["${SECRET}"]`)],
    ['a layout', ofBackend(`"layout": "${SECRET}"`)],
    ['JSON', `{ "path": "${SECRET}`],
    ['JSON with something behind it', `${SOUND} ${SECRET}`],
  ])('%s that holds a secret, without saying it', async (_, text) => {
    expect(await faultOf({ files: { [FILE]: text } })).not.toContain(SECRET)
  })
})
