import { readFileSync } from 'node:fs'
import { checkBackendName } from '@stored/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseByteSize } from '../../src/byte-size.ts'
import { BACKEND_NAME, BACKEND_OPTIONS, STORE_OPTIONS } from '../../src/configuration/options.ts'
import { fits, type Schema } from './json-schema.ts'
import { load } from './load.ts'

const SOUND = { path: 'store', backends: { usb: { driver: 'fs', root: 'data' } } }

const SCHEMA: Schema = JSON.parse(readFileSync(new URL('../../stored.schema.json', import.meta.url), 'utf8'))

describe('the schema and loadConfig() are of one mind', () => {
  const value = fc.oneof(
    fc.constantFrom('wait', 'refuse', 'lru', 'fifo', 'key', 'id', 'sha256', '0770', 'usb', '1GB', '5 KiB', '1 XB', ''),
    fc.constantFrom(true, false, null, 0, 1, -1, 1.5, 2 ** 40),
    fc.constantFrom([], ['sha256'], ['md5', 'sha9'], {}, { maxSize: 1 }, { limit: '2MB' }, { x: 1 }),
  )
  const option = fc.constantFrom<string[]>(
    ...Object.keys(STORE_OPTIONS).map((name) => [name]),
    ...Object.keys(BACKEND_OPTIONS).map((name) => ['backends', 'usb', name]),
    ['backends', 'usb', 'driver'],
    ['backends', 'a b', 'driver'],
    ['cache', 'maxSize'],
    ['cache', 'evictionPolicy'],
    ['cache', 'location'],
    ['staging', 'limit'],
    ['staging', 'whenFull'],
    ['staging', 'whenful'],
    ['unknown'],
  )

  test('of any value of any option', async () => {
    await fc.assert(
      fc.asyncProperty(option, value, async (path, given) => {
        const config = withOption(path, given)
        // Which names are backends, and what is no prefix, a schema cannot say.
        fc.pre(path[0] !== 'defaultBackends' || !Array.isArray(given) || given.length === 0)
        const isLoaded = await load({ files: { 'stored.config.json': JSON.stringify(config) } }).then(
          () => true,
          () => false,
        )
        expect(isLoaded).toBe(fits(config, SCHEMA))
      }),
      { numRuns: 300 },
    )
  })
})

function withOption(path: readonly string[], value: unknown): object {
  const config: Record<string, unknown> = structuredClone(SOUND)
  let at = config
  for (const name of path.slice(0, -1)) {
    at[name] ??= {}
    at = at[name] as Record<string, unknown>
  }
  at[path.at(-1) as string] = value
  return config
}

test('the options of a driver are those of its table, or a reference to where they are', () => {
  const fits3 = (backend: object) =>
    fits({ ...SOUND, backends: { a: { driver: 's3', layout: 'id', ...backend } } }, SCHEMA)
  expect(fits3({ bucket: 'blobs', accessKeyId: { env: 'KEY' }, secretAccessKey: { file: 'secret' } })).toBe(true)
  expect(fits3({ bucket: 'blobs', forcePathStyle: 'yes' })).toBe(false)
  expect(fits3({ bucket: 'blobs', buckt: 'x' })).toBe(false)
  expect(fits3({ bucket: { env: 'A', file: 'b' } })).toBe(false)
  expect(fits3({})).toBe(false)
})

test('names of backends are those of the store', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ maxLength: 70 }), fc.stringMatching(/^[\w.-]{0,70}$/)), (name) => {
      const isName = !throws(() => checkBackendName(name, { op: 'test' }))
      expect(BACKEND_NAME.test(name)).toBe(isName)
    }),
  )
})

test('sizes are those of the store', () => {
  const size = fc.stringMatching(/^ ?[0-9]{1,4}(\.[0-9])? ?[KMGTkgi]{0,2}[Bb]?$/)
  fc.assert(
    fc.property(size, (text) => {
      // Below a byte, and above 2^53 of them (8,192 TiB), is a matter of counting.
      const number = Number.parseFloat(text)
      fc.pre(number >= 1 && number < 8192)
      const isSize = fits({ ...SOUND, cache: { maxSize: text } }, SCHEMA)
      expect(isSize).toBe(parseByteSize(text) !== null)
    }),
  )
})

function throws(call: () => void): boolean {
  try {
    call()
    return false
  } catch {
    return true
  }
}
