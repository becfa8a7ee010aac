import { readdir } from 'node:fs/promises'
import path from 'node:path'
import { inspect } from 'node:util'
import type {
  BackendOptions,
  CommitOptions,
  DeleteOptions,
  EventsOptions,
  ForgetOptions,
  GetOptions,
  JobFilter,
  LinkOptions,
  ListOptions,
  PutOptions,
  ReceiveOptions,
  StoreD,
  SyncedOptions,
  VerifyOptions,
} from '@stored/core'
import { MemoryBackend } from '@stored/core/backend'
import { openStore, type StoreConfig } from '@stored/node'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { collect, openAt, type TempDirectory, temp } from './temp.ts'

/** What an option of each kind must not be. */
const NOT = {
  boolean: ['false', 'no', '', 0, 1, null, {}, [], Number.NaN],
  whole: [-1, 1.5, '2', Number.NaN, null, {}, [], true, 2n],
  fromOne: [0, -1, 1.5, '2', Number.NaN, null, {}, true],
  text: [7, null, {}, [], true],
  names: ['a', 7, null, {}, [7], [null], true],
  object: [null, 7, 'x', [], true],
  match: [7, null, {}, [], true, 'sha256:12', { version: 7 }, { id: 'x' }],
  signal: [null, {}, 'x', 7, new AbortController(), { aborted: true }],
  callback: [null, {}, 'x', 7],
  choice: [null, {}, 'x', '', 7, true],
} as const

type Wrong<Options> = Readonly<Record<keyof Options & string, readonly unknown[]>>
type Loose = Record<keyof StoreD, (...args: unknown[]) => unknown>

interface Call {
  readonly options: Readonly<Record<string, readonly unknown[]>>
  readonly make: (store: Loose, options: object) => unknown
}

const place = { backend: NOT.text, key: [], id: [...NOT.text, 'x', 'sha256:'], signal: NOT.signal } satisfies Wrong<
  Omit<JobFilter, 'state'>
>

/** Every option of every call: one that is missing here does not compile. */
const CALLS: Readonly<Record<string, Call>> = {
  put: {
    options: {
      key: [],
      backends: NOT.names,
      checksums: NOT.names,
      metadata: NOT.object,
      replaceMetadata: NOT.boolean,
      mimeType: [...NOT.text, ''],
      ifAbsent: NOT.boolean,
      ifMatch: NOT.match,
      expect: NOT.object,
      signal: NOT.signal,
      onProgress: NOT.callback,
      whenFull: NOT.choice,
      also: NOT.callback,
    } satisfies Wrong<PutOptions>,
    make: (store, options) => store.put(Buffer.from('new'), { key: 'new', ...options }),
  },
  receive: {
    options: {
      checksums: NOT.names,
      expect: NOT.object,
      whenFull: NOT.choice,
      signal: NOT.signal,
      onProgress: NOT.callback,
    } satisfies Wrong<ReceiveOptions>,
    make: (store, options) => store.receive(Buffer.from('new'), options),
  },
  commit: {
    options: {
      key: [],
      backends: NOT.names,
      metadata: NOT.object,
      replaceMetadata: NOT.boolean,
      mimeType: [...NOT.text, ''],
      ifAbsent: NOT.boolean,
      ifMatch: NOT.match,
      also: NOT.callback,
      signal: NOT.signal,
    } satisfies Wrong<CommitOptions>,
    make: (store, options) => store.commit({}, { key: 'new', ...options }),
  },
  link: {
    options: {
      backends: NOT.names,
      metadata: NOT.object,
      replaceMetadata: NOT.boolean,
      mimeType: [...NOT.text, ''],
      ifAbsent: NOT.boolean,
      ifMatch: NOT.match,
      also: NOT.callback,
      signal: NOT.signal,
    } satisfies Wrong<LinkOptions>,
    make: (store, options) => store.link('new', `sha256:${'0'.repeat(64)}`, options),
  },
  'put, expect': {
    options: { checksum: NOT.text, size: [...NOT.whole, '18'] } satisfies Wrong<NonNullable<PutOptions['expect']>>,
    make: (store, expected) => store.put(Buffer.from('new'), { key: 'new', expect: expected }),
  },
  get: {
    options: {
      backend: NOT.text,
      backends: NOT.names,
      range: NOT.object,
      fallback: NOT.boolean,
      stream: NOT.boolean,
      signal: NOT.signal,
    } satisfies Wrong<GetOptions & { stream?: boolean }>,
    make: (store, options) => store.get('k', options),
  },
  'get, range': {
    options: { offset: NOT.whole, length: NOT.whole } satisfies Wrong<NonNullable<GetOptions['range']>>,
    make: (store, range) => store.get('k', { range }),
  },
  delete: {
    options: {
      backends: NOT.names,
      ifMatch: NOT.match,
      dryRun: NOT.boolean,
      also: NOT.callback,
      signal: NOT.signal,
    } satisfies Wrong<DeleteOptions>,
    make: (store, options) => store.delete('k', options),
  },
  list: {
    options: {
      backend: NOT.text,
      prefix: NOT.text,
      limit: NOT.whole,
      after: NOT.text,
      missing: NOT.boolean,
      internal: NOT.boolean,
      signal: NOT.signal,
    } satisfies Wrong<ListOptions>,
    make: (store, options) => collect(store.list(options) as AsyncIterable<unknown>),
  },
  synced: {
    options: { copies: NOT.fromOne, backends: NOT.names, signal: NOT.signal } satisfies Wrong<SyncedOptions>,
    make: (store, options) => store.synced('k', options),
  },
  events: {
    options: {
      since: [-1, 1.5, '', Number.NaN, null, {}, [], true, 2n],
      follow: NOT.boolean,
      signal: NOT.signal,
    } satisfies Wrong<EventsOptions>,
    make: (store, options) => collect(store.events(options) as AsyncIterable<unknown>),
  },
  verify: {
    options: {
      backend: NOT.text,
      prefix: NOT.text,
      after: NOT.text,
      sample: [...NOT.fromOne.filter((value) => value !== 1.5), 1.5],
      maxBytesPerSecond: NOT.fromOne,
      signal: NOT.signal,
    } satisfies Wrong<VerifyOptions>,
    make: (store, options) => collect(store.verify(options) as AsyncIterable<unknown>),
  },
  jobs: {
    options: { ...place, state: [...NOT.text, 'done'] } satisfies Wrong<JobFilter>,
    make: (store, filter) => collect(store.jobs(filter) as AsyncIterable<unknown>),
  },
  retry: { options: place, make: (store, filter) => store.retry(filter) },
  removeBackend: {
    options: { force: NOT.boolean, dryRun: NOT.boolean },
    make: (store, options) => store.removeBackend('a', options),
  },
  forget: {
    options: { dryRun: NOT.boolean } satisfies Wrong<ForgetOptions>,
    make: (store, options) => store.forget({ backend: 'a', key: 'k' }, options),
  },
  addBackend: {
    options: {
      backend: [...NOT.text, undefined],
      layout: [...NOT.text, 'keys'],
      overwrite: NOT.boolean,
      concurrency: NOT.fromOne,
      bytesInFlight: NOT.fromOne,
      idleTimeoutMs: NOT.fromOne,
    } satisfies Wrong<BackendOptions>,
    make: (store, options) => store.addBackend('c', { backend: new MemoryBackend(), ...options }),
  },
}

function shown(value: unknown): string {
  return inspect(value, { depth: 3, breakLength: Number.POSITIVE_INFINITY })
}

let dir: TempDirectory
let store: Awaited<ReturnType<typeof openAt>>
let before: unknown

beforeAll(async () => {
  dir = await temp()
  store = await openAt(dir.path)
  await store.put(Buffer.from('kept'), { key: 'k' })
  await store.synced()
  before = await snapshot()
})

afterAll(async () => {
  await store.close()
  await dir[Symbol.asyncDispose]()
})

async function snapshot() {
  return {
    keys: await collect(store.list()),
    events: (await collect(store.events())).length,
    jobs: await collect(store.jobs()),
    backends: (await store.listBackends()).map(({ name, state }) => ({ name, state })),
  }
}

describe.each(Object.entries(CALLS))('%s() refuses an option of the wrong type, and changes nothing', (_, call) => {
  const wrong = Object.entries(call.options).flatMap(([option, values]) =>
    values.map((value) => [option, shown(value), value] as const),
  )
  test.each(wrong)('%s: %s', async (option, _shown, value) => {
    const calling = (async () => call.make(store as unknown as Loose, { [option]: value }))()
    await expect(calling).rejects.toMatchObject({
      name: 'StorageError',
      code: 'INVALID_ARGUMENT',
      message: expect.stringMatching(
        new RegExp(
          `option "(\\w+\\.)?${option}" ${value === undefined ? 'is missing: it must be .+' : 'must be .+, not .+'}`,
        ),
      ),
    })
    expect(await snapshot()).toEqual(before)
  })
})

describe('on()', () => {
  test('an event that does not exist is refused, and names the nearest', () => {
    expect(() => store.on('putt' as never, () => {})).toThrow(/unknown event "putt"; did you mean "put"\?/)
    expect(() => store.on('toString' as never, () => {})).toThrow(/INVALID_ARGUMENT/)
  })

  test.each([undefined, ...NOT.callback])('a listener that is no function is refused: %o', (listener) => {
    expect(() => store.on('put', listener as never)).toThrow(
      /option "listener" (must be a function, not|is missing: it must be a function)/,
    )
  })
})

describe('openStore() refuses a value of the wrong type before anything is touched', () => {
  // Never made: nothing may be touched.
  const folder = { driver: 'fs', root: '/dev/null/x' }
  const text = [7, null, {}, [], true, '']
  const wrong: Readonly<Record<keyof StoreConfig, readonly unknown[]>> = {
    path: text,
    backends: [...NOT.object, { a: null }, { a: 'fs' }, { a: { ...folder, driver: 7 } }],
    defaultBackends: ['a', 7, null, {}, [7]],
    checksums: ['md5', 7, null, {}, [7], ['sha265']],
    prefix: [...text, '/a'],
    sync: NOT.boolean,
    reserve: NOT.whole,
    allowNetworkFileSystem: NOT.boolean,
    mode: [...text, 0o700, '700', '0750', '0777', 'group'],
    staging: [...NOT.object, { limit: 0 }, { limit: true }, { limit: '1 XB' }, { whenFull: 'no' }],
    cache: [null, 7, 'x', [], true, { maxSize: 0 }, { location: 7 }, { evictionPolicy: 'lifo' }],
  }
  const backend: Readonly<Record<string, readonly unknown[]>> = {
    layout: [7, null, 'keys'],
    overwrite: NOT.boolean,
    concurrency: NOT.fromOne,
    bytesInFlight: NOT.fromOne,
    idleTimeoutMs: NOT.fromOne,
    fsync: NOT.boolean,
    root: text,
  }
  const changes = [
    ...Object.entries(wrong).flatMap(([name, values]) => values.map((value) => ({ [name]: value }))),
    ...Object.entries(backend).flatMap(([name, values]) =>
      values.map((value) => ({ backends: { a: { ...folder, [name]: value } } })),
    ),
  ]
  test.each(changes.map((change) => [shown(change), change] as const))('%s', async (_shown, change) => {
    await using empty = await temp()
    const opening = openStore({ path: path.join(empty.path, 'store'), backends: { a: folder }, ...change } as never)
    await expect(opening).rejects.toMatchObject({ name: 'StorageError', code: 'INVALID_ARGUMENT' })
    expect(await readdir(empty.path)).toEqual([])
  })

  test('a wrapped backend too', async () => {
    await using empty = await temp()
    const backends = { a: { backend: new MemoryBackend(), overwrite: 'false' } }
    const opening = openStore({ path: path.join(empty.path, 'store'), backends } as never)
    await expect(opening).rejects.toThrow(/backends\.a\.overwrite must be true or false, not string/)
    expect(await readdir(empty.path)).toEqual([])
  })
})
