import { openAsBlob, truncateSync, unlinkSync } from 'node:fs'
import { symlink, unlink, utimes, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { Readable } from 'node:stream'
import type { StoreD } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import { openStore } from '@stored/node'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { collect, filesBelow, openAt, type TempDirectory, temp } from './temp.ts'

/** A store as JavaScript sees it. */
type Loose = Record<Exclude<keyof StoreD, 'cache'>, (...args: unknown[]) => unknown> & {
  readonly cache: Record<keyof StoreD['cache'], (...args: unknown[]) => unknown>
}

const KEPT = 'kept by all that went wrong'
const BYTES = Buffer.from('hello')

let dir: TempDirectory
let typed: Awaited<ReturnType<typeof openAt>>
let store: Loose
let before: unknown

beforeAll(async () => {
  dir = await temp()
  typed = await openAt(dir.path)
  store = typed as unknown as Loose
  await typed.put(BYTES, { key: KEPT })
  await typed.synced()
  before = await snapshot()
})

afterAll(async () => {
  await typed.close()
  await dir[Symbol.asyncDispose]()
})

async function snapshot() {
  return {
    keys: (await collect(typed.list())).map(({ key, id }) => ({ key, id })),
    copies: (await collect(typed.verify())).map(({ backend, key, checked }) => ({ backend, key, checked })),
    events: (await collect(typed.events())).length,
    jobs: await collect(typed.jobs()),
    backends: (await typed.listBackends()).map(({ name, state }) => ({ name, state })),
    staging: (await typed.status()).staging,
  }
}

function broken(): never {
  throw new Error('torn')
}

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

/** Throws whatever is asked of it. */
function hostile(target: object = {}): object {
  return new Proxy(target, { get: broken, has: broken, ownKeys: broken, getPrototypeOf: broken })
}

function detachedBytes(): Uint8Array {
  const bytes = new Uint8Array(5)
  structuredClone(bytes, { transfer: [bytes.buffer] })
  return bytes
}

function detached(): ArrayBufferLike {
  return detachedBytes().buffer
}

/** Gives `values` one after the other, and the last one again and again. */
function changing(...values: unknown[]): PropertyDescriptor & { get(): unknown } {
  return { enumerable: true, get: () => (values.length > 1 ? values.shift() : values[0]) }
}

const iterating = (iterator: unknown) => ({ [Symbol.asyncIterator]: () => iterator })
const once = (step: () => unknown) => iterating({ next: step })
const file = (name: string) => path.join(dir.path, name)

interface Mistake {
  /** @default the usual bytes */
  readonly source?: () => unknown
  readonly options?: () => unknown
  readonly code: string
  readonly says: RegExp
}

async function ended(): Promise<Readable> {
  const stream = Readable.from([BYTES])
  await Array.fromAsync(stream)
  return stream
}

async function failed(): Promise<Readable> {
  const stream = Readable.from([BYTES]).on('error', () => {})
  stream.destroy(new Error('torn'))
  await new Promise((resolve) => stream.once('close', resolve))
  return stream
}

async function begun(): Promise<Readable> {
  const stream = Readable.from([BYTES, BYTES])
  for await (const _ of stream.iterator({ destroyOnReturn: false })) break
  return stream
}

function locked(): ReadableStream {
  const stream = new Blob(['x']).stream()
  stream.getReader()
  return stream
}

async function blobOfDeletedFile(): Promise<Blob> {
  await writeFile(file('deleted'), BYTES)
  const blob = await openAsBlob(file('deleted'))
  await unlink(file('deleted'))
  return blob
}

/** Changes a large file while it is read. */
function meddled(change: (path: string) => void): Pick<Mistake, 'source' | 'options'> {
  let isChanged = false
  return {
    async source() {
      await writeFile(file('meddled'), Buffer.alloc(5_000_000))
      return file('meddled')
    },
    options: () => ({
      onProgress() {
        if (!isChanged) change(file('meddled'))
        isChanged = true
      },
    }),
  }
}

const ARGUMENT = 'INVALID_ARGUMENT'
const NO_BYTES = /chunk of the source is bytes/
const READ_BEFORE = /read before/

/** What a caller, or a source, may get wrong in a put. */
const PUTS: Readonly<Record<string, Mistake>> = {
  'an array of numbers': { source: () => [1, 2], code: ARGUMENT, says: NO_BYTES },
  'an array of strings': { source: () => ['a'], code: ARGUMENT, says: NO_BYTES },
  'an array of arrays': { source: () => [[BYTES]], code: ARGUMENT, says: NO_BYTES },
  'strings in a byte stream': { source: () => Readable.from(['a', 'b']), code: ARGUMENT, says: NO_BYTES },
  'a stream that decodes': {
    source: () => Readable.from([BYTES], { objectMode: false }).setEncoding('utf8'),
    code: ARGUMENT,
    says: NO_BYTES,
  },
  'a symbol': { source: () => Symbol('x'), code: ARGUMENT, says: /not symbol/ },
  'a bigint': { source: () => 1n, code: ARGUMENT, says: /not bigint/ },
  'a function': { source: () => () => BYTES, code: ARGUMENT, says: /not function/ },
  nothing: { source: () => undefined, code: ARGUMENT, says: /not undefined/ },
  null: { source: () => null, code: ARGUMENT, says: /not null/ },
  'an iterator without next': { source: () => iterating({}), code: ARGUMENT, says: /no method next/ },
  'an iterator that is none': { source: () => iterating(null), code: ARGUMENT, says: /no method next/ },
  'a step that is none': { source: () => once(() => undefined), code: ARGUMENT, says: /done and value/ },
  'a buffer that was detached': { source: detached, code: ARGUMENT, says: /detached/ },
  'a chunk that was detached': {
    source: () => [BYTES, detachedBytes()],
    code: ARGUMENT,
    says: /chunk was detached/,
  },
  'a Proxy of bytes': { source: () => new Proxy(new Uint8Array(5), {}), code: 'SOURCE_FAILED', says: /broke off/ },
  'a stream that ended': { source: ended, code: ARGUMENT, says: READ_BEFORE },
  'a stream of which a part was read': { source: begun, code: ARGUMENT, says: READ_BEFORE },
  'a stream that is locked': { source: locked, code: ARGUMENT, says: READ_BEFORE },
  'a stream that failed': { source: failed, code: 'SOURCE_FAILED', says: /broke off: torn/ },
  'an iterator that throws': { source: () => once(broken), code: 'SOURCE_FAILED', says: /broke off: torn/ },
  'a web stream that fails': {
    source: () => new ReadableStream({ pull: broken }),
    code: 'SOURCE_FAILED',
    says: /broke off: torn/,
  },
  'a Blob of a file that was deleted': { source: blobOfDeletedFile, code: 'SOURCE_FAILED', says: /broke off/ },
  'a return that throws': {
    source: () => iterating({ next: () => ({ done: false, value: 'x' }), return: broken }),
    code: ARGUMENT,
    says: NO_BYTES,
  },
  'a return that hangs': {
    source: () => iterating({ next: () => ({ done: false, value: 'x' }), return: () => new Promise(() => {}) }),
    code: ARGUMENT,
    says: NO_BYTES,
  },
  'the path of a directory': { source: () => dir.path, code: ARGUMENT, says: /directory/ },
  'a path with a NUL': { source: () => 'a\0b', code: ARGUMENT, says: /NUL/ },
  'a path with half of a surrogate pair': { source: () => 'a\ud800', code: ARGUMENT, says: /surrogate/ },
  'a URL of another host': { source: () => new URL('file://host/x'), code: ARGUMENT, says: /host "host"/ },
  'a link that leads round': {
    async source() {
      await symlink(file('round'), file('round'))
      return file('round')
    },
    code: ARGUMENT,
    says: /ELOOP/,
  },
  'a file that vanishes': { ...meddled(unlinkSync), code: 'SOURCE_CHANGED', says: /removed/ },
  'a file that is cut': {
    ...meddled((name) => truncateSync(name, 4_000_000)),
    code: 'SOURCE_CHANGED',
    says: /changed/,
  },
  'a file that grows': { ...meddled((name) => truncateSync(name, 9_000_000)), code: 'SOURCE_CHANGED', says: /changed/ },
  'a buffer that is detached meanwhile': (() => {
    const bytes = new Uint8Array(3_000_000)
    return {
      source: () => bytes,
      options: () => ({ onProgress: () => void structuredClone(bytes.buffer, { transfer: [bytes.buffer] }) }),
      code: 'SOURCE_CHANGED',
      says: /detached/,
    }
  })(),
  'more than was expected, without end': {
    *source() {
      for (;;) yield BYTES
    },
    options: () => ({ expect: { size: 7 } }),
    code: 'SIZE_MISMATCH',
    says: /expected 7 bytes, got 10 or more/,
  },
  'a signal that is none': { options: () => ({ signal: {} }), code: ARGUMENT, says: /"signal" must be an AbortSignal/ },
  'the prototype of a signal': {
    options: () => ({ signal: Object.create(AbortSignal.prototype) }),
    code: ARGUMENT,
    says: /"signal" must be an AbortSignal/,
  },
  'ifMatch: null': { options: () => ({ ifMatch: null }), code: ARGUMENT, says: /"ifMatch" must be .* not null/ },
  'a MIME type with a line end': {
    options: () => ({ mimeType: 'text/plain\r\nx-evil: 1' }),
    code: ARGUMENT,
    says: /"mimeType" must be a MIME type/,
  },
  'a MIME type with a control character': {
    options: () => ({ mimeType: 'text/plain; a=\x1b[2J' }),
    code: ARGUMENT,
    says: /"mimeType" must be a MIME type/,
  },
  'a MIME type that is too long': {
    options: () => ({ mimeType: `text/${'x'.repeat(100_000)}` }),
    code: ARGUMENT,
    says: /at most 255 characters/,
  },
  'metadata that throws': {
    options: () => ({
      metadata: {
        get a() {
          return broken()
        },
      },
    }),
    code: ARGUMENT,
    says: /metadata cannot be read/,
  },
  'metadata with a hole': { options: () => ({ metadata: { a: new Array(2) } }), code: ARGUMENT, says: /JSON values/ },
  'metadata without end': {
    options: () => ({ metadata: { a: new Array(2 ** 32 - 1) } }),
    code: ARGUMENT,
    says: /JSON values/,
  },
  'an option that throws': {
    options: () => ({
      get key() {
        return broken()
      },
    }),
    code: ARGUMENT,
    says: /option "key" cannot be read/,
  },
  'options that throw': { options: hostile, code: ARGUMENT, says: /options cannot be read/ },
  'options that were revoked': { options: revoked, code: ARGUMENT, says: /options cannot be read/ },
  'options that are a function': { options: () => () => ({}), code: ARGUMENT, says: /not function/ },
  'a list of names that throws': { options: () => ({ backends: hostile([]) }), code: ARGUMENT, says: /"backends"/ },
  'onProgress that throws': { options: () => ({ onProgress: broken }), code: ARGUMENT, says: /onProgress threw: torn/ },
  'a key that is a symbol': { options: () => ({ key: Symbol('k') }), code: 'INVALID_KEY', says: /not symbol/ },
  'a key that is a bigint': { options: () => ({ key: 1n }), code: 'INVALID_KEY', says: /not bigint/ },
}

describe('put() says what is wrong, and stores nothing', () => {
  test.each(Object.entries(PUTS))('%s', async (_, { source = () => BYTES, options = () => ({}), code, says }) => {
    const given = await source()
    const putting = Promise.resolve().then(() => store.put(given, options()))
    await expect(putting).rejects.toMatchObject({ name: 'StorageError', code, message: expect.stringMatching(says) })
    expect(await snapshot()).toEqual(before)
    expect(await filesBelow(file('store/staging'))).toEqual({})
  })

  test('of a source that broke off, with what it threw as the cause', async () => {
    const cause = { not: 'even an error' }
    const source = once(() => {
      throw cause
    })
    await expect(store.put(source)).rejects.toMatchObject({ code: 'SOURCE_FAILED', cause, retryable: false })
  })

  test('an abort stays ABORTED with its reason, whatever the source makes of it', async () => {
    const controller = new AbortController()
    const source = once(() => {
      controller.abort('enough')
      return broken()
    })
    const putting = store.put(source, { signal: controller.signal })
    await expect(putting).rejects.toMatchObject({ code: 'ABORTED', cause: 'enough' })
  })

  test('a source that fails as a store does is told as that store told it', async () => {
    const error = new StorageError('UNAVAILABLE', { op: 'get', backend: 'elsewhere' })
    await expect(store.put(once(() => Promise.reject(error)))).rejects.toBe(error)
  })
})

describe('put() stores', () => {
  const good: Readonly<Record<string, { source(): unknown; options?: object; bytes: string }>> = {
    'an empty array, which is no chunk': { source: () => [], bytes: '' },
    'memory that is shared': { source: () => new SharedArrayBuffer(2), bytes: '\0\0' },
    'options of a class with getters': {
      source: () => BYTES,
      options: new (class {
        get metadata() {
          return { a: 1 }
        }
      })(),
      bytes: 'hello',
    },
    'an option that is another one when it is asked again': {
      source: () => BYTES,
      options: Object.defineProperty({}, 'ifMatch', changing(undefined, 7)),
      bytes: 'hello',
    },
    'metadata that is other one when it is asked again': {
      source: () => BYTES,
      options: { metadata: Object.defineProperty({}, 'a', changing('first', 7n)) },
      bytes: 'hello',
    },
  }
  test.each(Object.entries(good))('%s', async (_, { source, options = {}, bytes }) => {
    await using own = await temp()
    await using opened = await openAt(own.path, { sync: false })
    const { id } = await opened.put(source() as Buffer, options)
    expect((await opened.get(id)).toString()).toBe(bytes)
  })

  test('metadata as it was when it was read first', async () => {
    await using own = await temp()
    await using opened = await openAt(own.path, { sync: false })
    const metadata = Object.defineProperty({}, 'a', changing('first', 7n))
    expect((await opened.put(BYTES, { metadata })).custom).toEqual({ a: 'first' })
  })

  test('what is read of a file whose size says nothing', async () => {
    await using own = await temp()
    await using opened = await openAt(own.path, { sync: false })
    await opened.put('/proc/version', { key: 'version' })
    expect((await opened.get('version')).toString()).toMatch(/^Linux version /)
  })

  test('under a clock that stands before 1970, and brings the copies to their backends', async () => {
    await using own = await temp()
    await using opened = await openAt(own.path, { sync: false })
    await writeFile(path.join(own.path, 'old'), BYTES)
    await utimes(path.join(own.path, 'old'), -1000, -1000)
    const clock = vi.spyOn(Date, 'now').mockReturnValue(-474_521_729_483)
    try {
      await opened.put(path.join(own.path, 'old'), { key: 'old' })
      await opened.close()
      await using syncing = await openAt(own.path)
      await syncing.synced('old')
      expect(await syncing.stat('old')).toMatchObject({ created: -474_521_729_483 })
    } finally {
      clock.mockRestore()
    }
    expect(await filesBelow(path.join(own.path, 'a'))).toEqual({ old: 'hello' })
  })
})

/** Whatever takes a name, an option or a listener. */
const CALLS: Readonly<Record<string, (junk: unknown) => unknown>> = {
  'get(x)': (junk) => store.get(junk),
  'get(k, x)': (junk) => store.get(KEPT, junk),
  'stat(x)': (junk) => store.stat(junk),
  'has(x)': (junk) => store.has(junk),
  'list(x)': (junk) => all(store.list(junk)),
  'list({ prefix })': (junk) => all(store.list({ prefix: junk })),
  'list({ after })': (junk) => all(store.list({ after: junk })),
  'delete(x)': (junk) => store.delete(junk),
  'delete(k, x)': (junk) => store.delete('nothing has this key', junk),
  'synced(k, x)': (junk) => store.synced(KEPT, junk),
  'addBackend(x)': (junk) => store.addBackend(junk, { backend: {} }),
  'addBackend(n, x)': (junk) => store.addBackend('c', junk),
  'addBackend(n, { backend })': (junk) => store.addBackend('c', { backend: junk }),
  'addBackend(n, half a backend)': (junk) => store.addBackend('c', { backend: { put() {}, capabilities: junk } }),
  'removeBackend(x)': (junk) => store.removeBackend(junk),
  'removeBackend(n, x)': (junk) => store.removeBackend('c', junk),
  'getBackend(x)': (junk) => store.getBackend(junk),
  'pause(x)': (junk) => store.pause(junk),
  'resume(x)': (junk) => store.resume(junk),
  'jobs(x)': (junk) => all(store.jobs(junk)),
  'jobs({ key })': (junk) => all(store.jobs({ key: junk })),
  'retry({ backend })': (junk) => store.retry({ backend: junk }),
  'on(x)': (junk) => store.on(junk, () => {}),
  'on(e, x)': (junk) => store.on('put', junk),
  'events(x)': (junk) => all(store.events(junk)),
  'verify(x)': (junk) => all(store.verify(junk)),
  'verify({ prefix })': (junk) => all(store.verify({ prefix: junk })),
  'verify({ after })': (junk) => all(store.verify({ after: junk })),
  'repair(x)': (junk) => store.repair(junk),
  'repair(k, x)': (junk) => store.repair(KEPT, junk),
  'forget(x)': (junk) => store.forget(junk),
  'forget({ backend })': (junk) => store.forget({ backend: junk, key: KEPT }),
  'forget({ key })': (junk) => store.forget({ backend: 'a', key: junk }),
  'cache.evict(x)': (junk) => store.cache.evict(junk),
  'cache.evictable(x)': (junk) => store.cache.evictable(junk),
}

function all(items: unknown): Promise<unknown[]> {
  return Array.fromAsync(items as AsyncIterable<unknown>)
}

const JUNK: Readonly<Record<string, unknown>> = {
  null: null,
  'a number': 7,
  NaN: Number.NaN,
  'a bigint': 1n,
  'a symbol': Symbol('x'),
  'a Proxy that throws': hostile(),
  'a Proxy that was revoked': revoked(),
  'an object that is no text': { toString: broken, [Symbol.toPrimitive]: broken },
  'an object without a prototype': Object.create(null),
  'text longer than any key': 'x'.repeat(1_000_000),
  'half of a surrogate pair': '\ud800',
  'a name of Object': 'constructor',
  __proto__: '__proto__',
}

/** What a call may answer to what cannot be meant. */
const REFUSALS: ReadonlySet<unknown> = new Set(['INVALID_ARGUMENT', 'INVALID_KEY', 'NOT_FOUND'])

describe('every call refuses what cannot be meant, at once or not at all, and changes nothing', () => {
  test.each(Object.keys(CALLS))('%s', async (name) => {
    for (const [what, junk] of Object.entries(JUNK)) {
      const outcome = await outcomeOf(() => CALLS[name]?.(junk))
      if (outcome !== undefined) expect(REFUSALS, `${name} of ${what}: ${outcome}`).toContain(outcome.code)
    }
    expect(await snapshot()).toEqual(before)
  })
})

/** @returns `undefined` when it was done. @throws what is no StorageError. */
async function outcomeOf(call: () => unknown): Promise<StorageError | undefined> {
  try {
    await call()
    return undefined
  } catch (error) {
    if (StorageError.is(error)) return error
    throw new Error('that is no StorageError', { cause: error })
  }
}

describe('names of Object are names like others', () => {
  test.each(['constructor', 'toString', 'hasOwnProperty', 'valueOf'])('a backend %s', async (name) => {
    await using own = await temp()
    const backends = { [name]: { driver: 'fs', root: path.join(own.path, 'there') } }
    await using opened = await openStore({ path: path.join(own.path, 'store'), backends })
    await opened.put(BYTES, { key: 'k', backends: [name] })
    await opened.synced('k', { backends: [name] })
    expect(await opened.getBackend(name)).toMatchObject({ name, jobs: { waiting: 0, parked: 0 } })
    expect(await collect(opened.verify({ backend: name }))).toMatchObject([{ backend: name, state: 'synced' }])
    await opened.removeBackend(name, { force: true })
    expect(await opened.listBackends()).toEqual([])
  })

  test('a backend __proto__ is refused by its name', async () => {
    await using own = await temp()
    const backends = JSON.parse('{ "__proto__": { "driver": "fs", "root": "x" } }')
    await expect(openStore({ path: path.join(own.path, 'store'), backends })).rejects.toThrow(
      /"__proto__" is not a backend name/,
    )
  })
})

/** What a program may ask for that cannot be; `at` is a directory with an empty file. */
const CONFIGURATIONS: Readonly<Record<string, { of: (at: string) => unknown; code: string; says: RegExp }>> = {
  'a read cache that is a file': {
    of: (at) => ({ ...base(at), cache: { location: path.join(at, 'file') } }),
    code: 'MISCONFIGURED',
    says: /not a directory is at .*file"/,
  },
  'a store that is a file': {
    of: (at) => ({ path: path.join(at, 'file'), backends: {} }),
    code: 'MISCONFIGURED',
    says: /not a directory is at .*file"/,
  },
  'a store below a file': {
    of: (at) => ({ path: path.join(at, 'file/x'), backends: {} }),
    code: 'MISCONFIGURED',
    says: /not a directory is above/,
  },
  'a path that is too long': {
    of: (at) => ({ path: path.join(at, 'x'.repeat(5000)), backends: {} }),
    code: 'MISCONFIGURED',
    says: /too long/,
  },
  'a path with a NUL': {
    of: (at) => ({ path: path.join(at, 'x\0'), backends: {} }),
    code: ARGUMENT,
    says: /path must be a path.*NUL/,
  },
  'a root with half of a surrogate pair': {
    of: (at) => ({ ...base(at), backends: { a: { driver: 'fs', root: 'x\ud800' } } }),
    code: ARGUMENT,
    says: /"root"/,
  },
  'a configuration that holds itself': {
    of(at) {
      const backend: Record<string, unknown> = { driver: 'fs' }
      backend.more = backend
      return { ...base(at), backends: { backend } }
    },
    code: ARGUMENT,
    says: /cannot be read/,
  },
  'a configuration that throws': {
    of: (at) => Object.defineProperty(base(at), 'backends', { enumerable: true, get: broken }),
    code: ARGUMENT,
    says: /cannot be read/,
  },
  'a configuration that was revoked': { of: revoked, code: ARGUMENT, says: /cannot be read/ },
}

function base(at: string) {
  return { path: path.join(at, 'store'), backends: {} }
}

describe('openStore() says what is wrong', () => {
  test.each(Object.entries(CONFIGURATIONS))('%s', async (_, { of, code, says }) => {
    await using own = await temp()
    await writeFile(path.join(own.path, 'file'), '')
    const opening = openStore(of(own.path) as never)
    await expect(opening).rejects.toMatchObject({ code, message: expect.stringMatching(says) })
  })
})

/** What no generator of plain data comes upon, by name: to print a counterexample, it is looked at from all sides. */
const ODD: Readonly<Record<string, unknown>> = {
  ...JUNK,
  'a detached buffer': detached(),
  'a function that throws': broken,
  'a Proxy of bytes': new Proxy(BYTES, {}),
  'a Proxy of a signal': new Proxy(new AbortController().signal, {}),
  'the prototype of a signal': Object.create(AbortSignal.prototype),
  'an iterator that throws': iterating({ next: broken }),
  'an iterator without next': iterating({}),
  'a list without end': new Array(2 ** 32 - 1),
}

class Odd {
  readonly name: string

  constructor(name: string) {
    this.name = name
  }
}

/** What is meant by what was generated. */
function meant(value: unknown): unknown {
  if (value instanceof Odd) return ODD[value.name]
  if (typeof value !== 'object' || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [name, one instanceof Odd ? ODD[one.name] : one]),
  )
}

describe('whatever a call is given', () => {
  const odd = fc.constantFrom(...Object.keys(ODD)).map((name) => new Odd(name))
  const anything = fc.anything({
    maxDepth: 2,
    withBigInt: true,
    withBoxedValues: true,
    withDate: true,
    withMap: true,
    withNullPrototype: true,
    withObjectString: true,
    withSet: true,
    withSparseArray: true,
    withTypedArray: true,
  })
  const junk = fc.oneof({ weight: 2, arbitrary: odd }, { weight: 3, arbitrary: anything })
  const named = (...names: string[]) =>
    fc.record(Object.fromEntries(names.map((name) => [name, junk])), { requiredKeys: [] })
  const options = fc.oneof(
    junk,
    named('backend', 'prefix', 'limit', 'after', 'missing', 'signal', 'range', 'fallback', 'state', 'key', 'id'),
    named(
      'key',
      'backends',
      'metadata',
      'replaceMetadata',
      'mimeType',
      'ifAbsent',
      'ifMatch',
      'expect',
      'signal',
      'onProgress',
    ),
    named('signal'),
  )

  test('it never fails as INTERNAL, nor with what is no StorageError, and changes nothing', async () => {
    const call = fc.constantFrom(...Object.keys(CALLS))
    await fc.assert(
      fc.asyncProperty(call, options, async (name, given) => {
        const error = await outcomeOf(() => CALLS[name]?.(meant(given)))
        expect(error?.code).not.toBe('INTERNAL')
      }),
      { numRuns: 1000 },
    )
    expect(await snapshot()).toEqual(before)
  })

  test('a put that is refused stores nothing, and is never INTERNAL', async () => {
    await using own = await temp()
    await using opened = await openAt(own.path, { sync: false })
    const loose = opened as unknown as Loose
    let stored = 0
    await fc.assert(
      fc.asyncProperty(junk, options, async (source, given) => {
        // A string is a path: what lies there is nobody's mistake.
        fc.pre(typeof source !== 'string')
        const error = await outcomeOf(() => loose.put(meant(source), meant(given)))
        expect(error?.code).not.toBe('INTERNAL')
        if (error === undefined) stored++
        expect((await collect(opened.events())).length).toBe(stored)
      }),
      { numRuns: 500 },
    )
    expect(await filesBelow(path.join(own.path, 'store/staging'))).toEqual({})
  })
})
