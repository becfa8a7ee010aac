import { execFileSync } from 'node:child_process'
import { createReadStream, existsSync, readdirSync } from 'node:fs'
import { appendFile, mkdtemp, readFile, rename, rm, truncate, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openSource } from './open-source.ts'
import type { BlobSource, Chunks, Source } from './source.ts'

let directory: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'stored-source-'))
})
afterAll(() => rm(directory, { recursive: true }))

async function file(name: string, bytes: Uint8Array | string): Promise<string> {
  const path = join(directory, name)
  await writeFile(path, bytes)
  return path
}

async function read({ body }: Source): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(body))
}

/** The steps of what does not lie in memory. */
function inTime(body: Chunks): AsyncIterator<Uint8Array, void> {
  if (Symbol.iterator in body) throw new Error('it comes without waiting')
  return body[Symbol.asyncIterator]()
}

const LARGE = Buffer.from(Uint8Array.from({ length: 2_500_000 }, (_, i) => (i * 31) % 251))
const text = (value: string): Uint8Array => Buffer.from(value)
const unchecked = (value: unknown): BlobSource => value as BlobSource

function sharing(bytes: Uint8Array): SharedArrayBuffer {
  const shared = new SharedArrayBuffer(bytes.byteLength)
  new Uint8Array(shared).set(bytes)
  return shared
}

function resizable(bytes: Uint8Array): ArrayBuffer {
  const buffer = new ArrayBuffer(bytes.byteLength, { maxByteLength: 1000 })
  new Uint8Array(buffer).set(bytes)
  return buffer
}

/** Hands the bytes to somebody else, as `postMessage` does. */
function detach<T extends ArrayBufferView<ArrayBuffer> | ArrayBuffer>(bytes: T): T {
  structuredClone(bytes, { transfer: [bytes instanceof ArrayBuffer ? bytes : bytes.buffer] })
  return bytes
}

function throwing(): never {
  throw new Error('torn')
}

const iterating = (iterator: unknown) => unchecked({ [Symbol.asyncIterator]: () => iterator })

describe('openSource() gives the same bytes for', () => {
  const sources: Record<string, () => BlobSource | Promise<BlobSource>> = {
    'a Buffer': () => Buffer.from('bytes'),
    'a view into a larger buffer': () => Buffer.from('__bytes__').subarray(2, 7),
    'another typed array': () =>
      unchecked(new Uint16Array(Uint8Array.from([...text('bytes'), 0]).buffer).subarray(0, 3)),
    'an ArrayBuffer': () => Uint8Array.from(text('bytes')).buffer,
    'a Blob': () => new Blob(['by', 'tes']),
    'a path': () => file('small', 'bytes'),
    'a file: URL': async () => pathToFileURL(await file('sm all', 'bytes')),
    'a Readable': () => Readable.from([text('by'), text('tes')]),
    'a web stream': () => new Blob(['bytes']).stream(),
    'an array of chunks': () => [text('by'), text(''), text('tes')],
    'memory that is shared': () => sharing(text('bytes')),
    'a buffer that can be resized': () => resizable(text('bytes')),
    'a generator': () =>
      (function* () {
        yield text('by')
        yield text('tes')
      })(),
    'an async generator': () =>
      (async function* () {
        yield text('bytes')
      })(),
  }
  test.each(Object.entries(sources))('%s', async (_, make) => {
    const bytes = await read(await openSource(await make()))
    // The 16-bit array has an even number of bytes.
    expect(bytes.toString().replace(/\0$/, '')).toBe('bytes')
  })

  test.each([0, 1, 65_536, 65_537, 1 << 20, LARGE.byteLength])('a file of %d bytes', async (size) => {
    const source = await openSource(await file('sized', LARGE.subarray(0, size)))
    expect(source.size).toBe(size)
    expect((await read(source)).equals(LARGE.subarray(0, size))).toBe(true)
  })
})

test('bytes in memory are opened synchronously, and come without waiting, in chunks of 1 MiB', () => {
  const source = openSource(LARGE) as Source
  const chunks = [...(source.body as Iterable<Uint8Array>)]
  expect(chunks.map((chunk) => chunk.byteLength)).toEqual([1 << 20, 1 << 20, LARGE.byteLength - (2 << 20)])
})

describe('openSource() refuses', () => {
  test.each([
    ['a path where nothing is', () => join(directory, 'missing'), 'NOT_FOUND'],
    ['a directory', () => directory, 'INVALID_ARGUMENT'],
    ['a path through a file', async () => join(await file('plain', ''), 'below'), 'INVALID_ARGUMENT'],
    ['a device', () => '/dev/zero', 'INVALID_ARGUMENT'],
    ['an empty path', () => '', 'INVALID_ARGUMENT'],
    ['a path with a NUL', () => 'a\0b', 'INVALID_ARGUMENT'],
    ['a path with half of a surrogate pair', () => 'a\ud800', 'INVALID_ARGUMENT'],
    ['a URL that is not of a file', () => new URL('https://example.org/a'), 'INVALID_ARGUMENT'],
    ['a file: URL of another host', () => new URL('file://host/a'), 'INVALID_ARGUMENT'],
    ['a file: URL with a NUL', () => new URL('file:///a%00b'), 'INVALID_ARGUMENT'],
    ['a file: URL with a slash in a name', () => new URL('file:///a%2Fb'), 'INVALID_ARGUMENT'],
    ['what only has the prototype of a URL', () => unchecked(Object.create(URL.prototype)), 'INVALID_ARGUMENT'],
    ['what only has the prototype of a Blob', () => unchecked(Object.create(Blob.prototype)), 'INVALID_ARGUMENT'],
    ['a buffer that was detached', () => detach(new ArrayBuffer(5)), 'INVALID_ARGUMENT'],
    ['a view of one', () => detach(new Uint8Array(5)), 'INVALID_ARGUMENT'],
    ['another view of one', () => unchecked(detach(new DataView(new ArrayBuffer(5)))), 'INVALID_ARGUMENT'],
    ['an iterable without an iterator', () => iterating(null), 'INVALID_ARGUMENT'],
    ['an iterator without next', () => iterating({}), 'INVALID_ARGUMENT'],
    ['an iterable whose method is none', () => unchecked({ [Symbol.asyncIterator]: 7 }), 'INVALID_ARGUMENT'],
    ['an iterable that fails at once', () => unchecked({ [Symbol.iterator]: throwing }), 'SOURCE_FAILED'],
    ['a number', () => unchecked(7), 'INVALID_ARGUMENT'],
    ['null', () => unchecked(null), 'INVALID_ARGUMENT'],
    ['an object', () => unchecked({}), 'INVALID_ARGUMENT'],
  ])('%s', async (_, source, code) => {
    const opening = async () => openSource(await source(), { at: { op: 'put', key: 'k' } })
    await expect(opening()).rejects.toMatchObject({ code, at: { op: 'put', key: 'k' } })
  })

  test('a FIFO, without waiting for a writer', async () => {
    const path = join(directory, 'fifo')
    execFileSync('mkfifo', [path])
    await expect(openSource(path)).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('FIFO'),
    })
  })

  test('a stream that was read, locked or destroyed before', async () => {
    const ended = Readable.from([text('x')])
    await Array.fromAsync(ended)
    const destroyed = new PassThrough().destroy()
    const locked = new Blob(['x']).stream()
    locked.getReader()
    const drained = new Blob(['x']).stream()
    await Array.fromAsync(drained)
    const begun = Readable.from([text('x'), text('y')])
    for await (const _ of begun.iterator({ destroyOnReturn: false })) break
    const flowing = new PassThrough().resume()
    for (const source of [ended, destroyed, locked, drained, begun, flowing])
      await expect(async () => openSource(source)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })
})

describe('a file that changes while it is read throws SOURCE_CHANGED', () => {
  const changes: Record<string, (path: string) => Promise<void>> = {
    grows: (path) => appendFile(path, 'more'),
    'is cut': (path) => writeFile(path, 'short'),
    'is rewritten in place': (path) => writeFile(path, Buffer.alloc(LARGE.byteLength)),
    'is replaced': async (path) => rename(await file('other', LARGE), path),
    'is removed': (path) => unlink(path),
  }
  test.each(Object.entries(changes))('it %s', async (_, change) => {
    const path = await file('changing', LARGE)
    const { body } = await openSource(path)
    const reading = async () => {
      let chunks = 0
      for await (const _ of body) {
        chunks += 1
        if (chunks === 1) await change(path)
      }
    }
    await expect(reading()).rejects.toMatchObject({ code: 'SOURCE_CHANGED' })
  })

  test('a file that is gone when the reading begins throws NOT_FOUND', async () => {
    const path = await file('going', LARGE)
    const source = await openSource(path)
    await unlink(path)
    await expect(read(source)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })
})

/** Counts what is asked of it, and never gives more than it was told to. */
class Probe {
  pulled = 0
  returned = 0
  readonly #chunks: unknown[]

  constructor(...chunks: unknown[]) {
    this.#chunks = chunks
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return {
      next: () => {
        this.pulled += 1
        const value = this.#chunks.shift()
        return value === undefined
          ? new Promise(() => {})
          : Promise.resolve({ done: false, value: value as Uint8Array })
      },
      return: async () => {
        this.returned += 1
        return { done: true, value: undefined }
      },
    }
  }
}

describe('an abort', () => {
  const reason = new Error('enough')

  test('while the source is idle rejects at once and returns it once', async () => {
    const controller = new AbortController()
    const probe = new Probe()
    const source = openSource(probe, { signal: controller.signal }) as Source
    const reading = read(source)
    controller.abort(reason)
    await expect(reading).rejects.toBe(reason)
    source.release()
    expect(probe.returned).toBe(1)
  })

  test('before the start rejects without a pull', async () => {
    const probe = new Probe(text('x'))
    expect(() => openSource(probe, { signal: AbortSignal.abort(reason) })).toThrow(reason)
    expect(probe).toMatchObject({ pulled: 0, returned: 1 })
  })

  test('destroys an idle Readable', async () => {
    const controller = new AbortController()
    const stream = new PassThrough()
    const reading = read(openSource(stream, { signal: controller.signal }) as Source)
    controller.abort(reason)
    await expect(reading).rejects.toBe(reason)
    expect(stream.destroyed).toBe(true)
  })

  test('cancels an idle web stream', async () => {
    const controller = new AbortController()
    let cancelled: unknown
    const stream = new ReadableStream<Uint8Array>({
      cancel(why) {
        cancelled = why
      },
    })
    const reading = read(openSource(stream, { signal: controller.signal }) as Source)
    controller.abort(reason)
    await expect(reading).rejects.toBe(reason)
    expect(cancelled).toBe(reason)
  })

  test('closes a large file', async () => {
    const controller = new AbortController()
    const { body } = await openSource(await file('aborted', LARGE), { signal: controller.signal })
    const before = openFiles()
    const iterator = inTime(body)
    await iterator.next()
    expect(openFiles()).toBeGreaterThan(before)
    controller.abort(reason)
    await expect(iterator.next()).rejects.toBe(reason)
    await expect.poll(openFiles).toBe(before)
  })
})

function openFiles(): number {
  return readdirSync('/proc/self/fd').length
}

describe('a source is released', () => {
  test('once, when its reader leaves early', async () => {
    const probe = new Probe(text('a'), text('b'))
    const source = openSource(probe) as Source
    for await (const _ of source.body) break
    source.release()
    expect(probe).toMatchObject({ pulled: 1, returned: 1 })
  })

  test('once, when nobody reads it', async () => {
    const probe = new Probe(text('a'))
    const source = openSource(probe) as Source
    source.release()
    source.release()
    expect(probe).toMatchObject({ pulled: 0, returned: 1 })
  })

  test('not again, when it ended by itself', async () => {
    let returned = false
    const iterable: Iterable<Uint8Array> = {
      [Symbol.iterator]: () => ({
        next: () => ({ done: true, value: undefined }),
        return: () => {
          returned = true
          return { done: true, value: undefined }
        },
      }),
    }
    const source = openSource(iterable) as Source
    await read(source)
    source.release()
    expect(returned).toBe(false)
  })
})

describe('a buffer that is no longer what it was throws SOURCE_CHANGED', () => {
  const changes: Record<string, (buffer: ArrayBuffer) => unknown> = {
    'is detached': (buffer) => detach(buffer),
    'becomes shorter': (buffer) => buffer.resize(7),
    'becomes longer': (buffer) => buffer.resize(buffer.byteLength + 1),
  }
  test.each(Object.entries(changes))('it %s', async (_, change) => {
    for (const size of [5, LARGE.byteLength]) {
      const buffer = new ArrayBuffer(size, { maxByteLength: LARGE.byteLength + 1 })
      const { body } = openSource(buffer) as Source
      const reading = async () => {
        for await (const _ of body) change(buffer)
      }
      await expect(reading()).rejects.toMatchObject({ code: 'SOURCE_CHANGED' })
    }
  })
  test.each(Object.entries(changes))('it %s before it is read', async (_, change) => {
    const buffer = new ArrayBuffer(LARGE.byteLength, { maxByteLength: LARGE.byteLength + 1 })
    const source = openSource(buffer) as Source
    change(buffer)
    await expect(read(source)).rejects.toMatchObject({ code: 'SOURCE_CHANGED' })
  })
})

/** None of them changes by itself. */
const GENERATED = [
  '/proc/version',
  '/proc/self/limits',
  '/proc/net/psched',
  '/sys/kernel/mm/transparent_hugepage/enabled',
]

test.each(GENERATED.filter(existsSync))('%s, whose size says nothing, is what is read to its end', async (path) => {
  const source = await openSource(path)
  expect(source.size).toBeUndefined()
  expect((await read(source)).toString()).toBe(await readFile(path, 'utf8'))
})

test('a sparse file is read whole', async () => {
  const path = await file('sparse', '')
  await truncate(path, LARGE.byteLength)
  expect((await read(await openSource(path))).equals(Buffer.alloc(LARGE.byteLength))).toBe(true)
})

test.each([
  ['empty', 0],
  ['tiny', 1],
])('an endless source of %s chunks leaves others their turn, so that it can be aborted', async (_, size) => {
  const chunks = (function* () {
    for (;;) yield new Uint8Array(size)
  })()
  const controller = new AbortController()
  const { body } = openSource(chunks, { signal: controller.signal }) as Source
  setImmediate(() => controller.abort(new Error('enough')))
  const drain = async () => {
    let read = 0
    for await (const chunk of body) {
      read += chunk.length
      if (read > 1_000_000) throw new Error('nobody had a turn')
    }
  }
  await expect(drain()).rejects.toThrow('enough')
})

test.each([
  ['throws', { return: throwing }],
  ['hangs', { return: () => new Promise(() => {}) }],
  ['is none', { return: 7 }],
])('a source whose return %s is left all the same', async (_, end) => {
  const source = iterating({ next: () => ({ done: false, value: text('a') }), ...end })
  const opened = openSource(source) as Source
  for await (const _ of opened.body) break
  opened.release()
})

test.each([
  ['nothing', undefined],
  ['a number', 7],
])('an iterator whose next gives %s throws INVALID_ARGUMENT', async (_, step) => {
  const reading = async () => read(openSource(iterating({ next: () => step })) as Source)
  await expect(reading()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
})

test.each([
  ['a string', new Probe('text')],
  ['a number', new Probe(7)],
  ['a buffer that was detached', new Probe(detach(new Uint8Array(5)))],
  ['a Proxy of bytes', new Probe(new Proxy(new Uint8Array(5), {}))],
  ['an array', new Probe([1, 2])],
])('a chunk that is %s throws INVALID_ARGUMENT and releases the source', async (_, probe) => {
  await expect(read(openSource(probe) as Source)).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  expect(probe.returned).toBe(1)
})

test('a Readable that is destroyed in silence throws instead of ending', async () => {
  const stream = new PassThrough()
  stream.write('half')
  const iterator = inTime((openSource(stream) as Source).body)
  await iterator.next()
  const rest = iterator.next()
  stream.destroy()
  await expect(rest).rejects.toMatchObject({
    code: 'SOURCE_FAILED',
    cause: { code: 'ERR_STREAM_PREMATURE_CLOSE' },
  })
})

test('a Readable that fails before it is read throws its error, and does not end the process', async () => {
  const stream = createReadStream(join(directory, 'missing'))
  const source = openSource(stream) as Source
  await new Promise<void>((resolve) => stream.once('close', () => resolve()))
  await expect(read(source)).rejects.toMatchObject({ code: 'SOURCE_FAILED', cause: { code: 'ENOENT' } })
})

test('what the source throws is the cause of SOURCE_FAILED, again and again', async () => {
  const error = new Error('torn')
  const source = openSource(
    (async function* () {
      yield text('a')
      throw error
    })(),
  )
  const iterator = inTime((source as Source).body)
  await iterator.next()
  const failed = { code: 'SOURCE_FAILED', cause: error, retryable: false }
  await expect(iterator.next()).rejects.toMatchObject(failed)
  await expect(iterator.next()).rejects.toMatchObject(failed)
})
