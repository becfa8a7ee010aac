import type { Opened } from '@stored/core'
import { describe, expect, test } from 'vitest'
import { type Current, chunksOf, commit, failPlan, idOf, NEVER } from './subject.ts'

const A = idOf('a')
const B = idOf('b')
/** The largest blob that is part of the commit, and the smallest that is a file. */
const INLINE = Buffer.alloc(65_536, 'inline ')
const FILE = Buffer.alloc(65_537, 'a file ')
/** More than one read of a file. */
const LARGE = Buffer.from(Array.from({ length: 2_500_000 }, (_, i) => i % 251))

export function stagingSuite(current: Current): void {
  const receive = (...chunks: Parameters<typeof chunksOf>) =>
    current().staging.receive(chunksOf(...chunks), { signal: NEVER, whenFull: 'wait' })
  const keep = async (id: typeof A, ...chunks: Parameters<typeof chunksOf>) => {
    await using staged = await receive(...chunks)
    await commit(current(), (tx) => current().staging.keep(tx, id, staged))
  }
  const has = (id: typeof A) => current().ledger.look((view) => current().staging.has(view, id))
  const release = (id: typeof A) => commit(current(), (tx) => current().staging.release(tx, id))
  const open = (id: typeof A, range: { offset?: number; length?: number } = {}) =>
    current().staging.open(id, { ...range, signal: NEVER })
  const drain = async (opened: Opened | null): Promise<Buffer> => {
    if (!opened) throw new Error('not staged')
    await using from = opened
    const chunks: Uint8Array[] = []
    for await (const chunk of from.body) chunks.push(chunk)
    return Buffer.concat(chunks)
  }
  const read = async (...args: Parameters<typeof open>) => drain(await open(...args))
  const files = () => current().files()
  const usage = () => current().staging.usage()
  /** Files are unlinked behind the commit. */
  const noFiles = () => expect.poll(files).toEqual([])

  describe.each([
    ['of no bytes', Buffer.alloc(0), 0],
    ['of one byte', Buffer.from('a'), 0],
    ['of 65,536 bytes, the most that is part of the commit', INLINE, 0],
    ['of 65,537 bytes, the least that is a file', FILE, 1],
    ['of several reads', LARGE, 1],
  ] as const)('a blob %s', (_, bytes, expectedFiles) => {
    test('comes back whole', async () => {
      await keep(A, bytes)
      expect(await has(A)).toBe(true)
      const opened = await open(A)
      expect(opened?.size).toBe(bytes.length)
      expect((await drain(opened)).equals(bytes)).toBe(true)
      expect(await files()).toHaveLength(expectedFiles)
    })

    test('comes back whole from a source of many chunks, empty ones among them', async () => {
      const step = Math.ceil(bytes.length / 7) || 1
      const chunks = Array.from({ length: 8 }, (_, i) => bytes.subarray(i * step, (i + 1) * step))
      await keep(A, '', ...chunks, '')
      expect((await read(A)).equals(bytes)).toBe(true)
    })

    test('is seen by nobody until it is kept', async () => {
      await using staged = await receive(bytes)
      expect(staged.size).toBe(bytes.length)
      expect(await has(A)).toBe(false)
      expect(await open(A)).toBeNull()
    })

    test('disposed without keep() leaves nothing', async () => {
      const staged = await receive(bytes)
      await staged[Symbol.asyncDispose]()
      expect(await files()).toEqual([])
    })

    test('whose commit fails is discarded', async () => {
      {
        await using staged = await receive(bytes)
        const failing = commit(current(), (tx) => {
          current().staging.keep(tx, A, staged)
          failPlan()
        })
        await expect(failing).rejects.toMatchObject({ code: 'CONFLICT' })
      }
      expect(await has(A)).toBe(false)
      expect(await files()).toEqual([])
    })

    test('is kept by a second commit when the first failed', async () => {
      await using staged = await receive(bytes)
      const once = (fails: boolean) =>
        commit(current(), (tx) => {
          current().staging.keep(tx, A, staged)
          if (fails) failPlan()
        })
      await expect(once(true)).rejects.toMatchObject({ code: 'CONFLICT' })
      await once(false)
      expect((await read(A)).equals(bytes)).toBe(true)
    })

    test('released is gone, its file too', async () => {
      await keep(A, bytes)
      await release(A)
      expect(await has(A)).toBe(false)
      expect(await open(A)).toBeNull()
      await noFiles()
    })

    test('kept twice at the same moment is there once, and stays when the loser is disposed', async () => {
      await Promise.all([keep(A, bytes), keep(A, bytes)])
      expect(await files()).toHaveLength(expectedFiles)
      expect((await read(A)).equals(bytes)).toBe(true)
      await release(A)
      expect(await has(A)).toBe(false)
      await noFiles()
    })

    test('released and kept again is there', async () => {
      await keep(A, bytes)
      await release(A)
      await keep(A, bytes)
      expect((await read(A)).equals(bytes)).toBe(true)
    })

    test('opened before release() can be read to its end after it', async () => {
      await keep(A, bytes)
      const opened = await open(A)
      await release(A)
      await noFiles()
      expect((await drain(opened)).equals(bytes)).toBe(true)
    })

    test('is not touched by the release of another', async () => {
      await keep(A, bytes)
      await keep(B, 'b', bytes)
      await release(B)
      expect((await read(A)).equals(bytes)).toBe(true)
      expect(await has(B)).toBe(false)
    })
  })

  describe('open()', () => {
    test.for([
      ['inline', INLINE],
      ['a file', LARGE],
    ] as const)('of a range of %s returns these bytes and the size of the whole', async ([, bytes]) => {
      await keep(A, bytes)
      const size = bytes.length
      const ranges: { offset?: number; length?: number }[] = [
        { offset: 0, length: 1 },
        { offset: 1 },
        { offset: size - 1 },
        { length: 10 },
        { offset: 1000, length: 50_000 },
        { offset: size - 3, length: 100 },
        { offset: size },
        { offset: size + 5, length: 5 },
        { offset: 7, length: 0 },
      ]
      for (const range of ranges) {
        const opened = await open(A, range)
        expect(opened?.size).toBe(size)
        const { offset = 0, length = size } = range
        expect((await drain(opened)).equals(bytes.subarray(offset, offset + length)), JSON.stringify(range)).toBe(true)
      }
    })

    test('of a file twice reads each from its own start', async () => {
      await keep(A, LARGE)
      const [one, two] = await Promise.all([open(A), open(A, { offset: 5 })])
      const [first, second] = await Promise.all([drain(one), drain(two)])
      expect(first.equals(LARGE)).toBe(true)
      expect(second.equals(LARGE.subarray(5))).toBe(true)
    })

    test('whose reader leaves early, or never begins, closes without an error', async () => {
      await keep(A, LARGE)
      const unread = await open(A)
      await unread?.[Symbol.asyncDispose]()
      const opened = await open(A)
      for await (const _ of opened?.body ?? []) break
      await opened?.[Symbol.asyncDispose]()
    })

    test('aborted while a file is read rejects with the reason', async () => {
      await keep(A, LARGE)
      const abort = new AbortController()
      const reason = new Error('enough')
      await using opened = await current().staging.open(A, { signal: abort.signal })
      const reading = async () => {
        for await (const _ of opened?.body ?? []) abort.abort(reason)
      }
      await expect(reading()).rejects.toBe(reason)
    })
  })

  describe('release()', () => {
    test('of what is not staged does nothing', async () => {
      await expect(release(A)).resolves.toMatchObject({ seq: expect.any(Number) })
    })

    test('in a commit that fails leaves the bytes', async () => {
      await keep(A, FILE)
      const failing = commit(current(), (tx) => {
        current().staging.release(tx, A)
        failPlan()
      })
      await expect(failing).rejects.toMatchObject({ code: 'CONFLICT' })
      expect((await read(A)).equals(FILE)).toBe(true)
    })
  })

  describe('receive()', () => {
    test.for([
      ['before its first byte', []],
      ['while it is small', ['abc']],
      ['when it is a file', [FILE]],
    ] as [string, Uint8Array[]][])(
      'of a source that fails %s rejects with its error and leaves nothing',
      async ([, chunks]) => {
        const error = new Error('the disk of the caller')
        async function* failing() {
          yield* chunksOf(...chunks)
          throw error
        }
        await expect(current().staging.receive(failing(), { signal: NEVER, whenFull: 'wait' })).rejects.toBe(error)
        expect(await files()).toEqual([])
      },
    )

    test.for([
      ['small', ['ab', 'c']],
      ['so large that it is a file', [FILE, 'abc']],
    ] as [string, (string | Uint8Array)[]][])('of chunks in memory, %s, keeps them all', async ([, parts]) => {
      const chunks = parts.map((part) => Buffer.from(part as string))
      await using staged = await current().staging.receive(chunks, { signal: NEVER, whenFull: 'wait' })
      await commit(current(), (tx) => current().staging.keep(tx, A, staged))
      expect((await read(A)).equals(Buffer.concat(chunks))).toBe(true)
    })

    test('of chunks in memory that end with an error ends them once, and leaves nothing', async () => {
      const error = new Error('changed')
      let ended = 0
      function* failing() {
        try {
          yield FILE
          throw error
        } finally {
          ended++
        }
      }
      await expect(current().staging.receive(failing(), { signal: NEVER, whenFull: 'wait' })).rejects.toBe(error)
      expect(ended).toBe(1)
      expect(await files()).toEqual([])
    })

    test('aborted while it writes a file rejects with the reason, ends its source and leaves nothing', async () => {
      const abort = new AbortController()
      const reason = new Error('enough')
      let ended = false
      async function* source() {
        try {
          yield FILE
          abort.abort(reason)
          yield FILE
          yield FILE
        } finally {
          ended = true
        }
      }
      await expect(current().staging.receive(source(), { signal: abort.signal, whenFull: 'wait' })).rejects.toBe(reason)
      expect(ended).toBe(true)
      expect(await files()).toEqual([])
    })

    test('of more bytes than were announced takes them all', async () => {
      const options = { signal: NEVER, size: 3, whenFull: 'wait' } as const
      await using staged = await current().staging.receive(chunksOf('abc', 'def'), options)
      expect(staged.size).toBe(6)
      expect(usage()).toMatchObject({ bytes: 6 })
    })

    test('of less bytes than were announced takes the room of no more', async () => {
      const options = { signal: NEVER, size: 100, whenFull: 'wait' } as const
      await using staged = await current().staging.receive(chunksOf('abc'), options)
      expect(staged.size).toBe(3)
      expect(usage()).toMatchObject({ bytes: 3 })
    })

    test('takes a copy: the source may use its buffer again', async () => {
      const buffer = Buffer.alloc(1000, 'a')
      await using staged = await current().staging.receive(chunksOf(buffer), { signal: NEVER, whenFull: 'wait' })
      buffer.fill('z')
      await commit(current(), (tx) => current().staging.keep(tx, A, staged))
      expect((await read(A)).equals(Buffer.alloc(1000, 'a'))).toBe(true)
    })
  })

  describe('usage()', () => {
    test('of an empty staging is 0, of a limit above it', () => {
      expect(usage()).toEqual({ bytes: 0, count: 0, limit: expect.any(Number), excess: 0 })
      expect(usage().limit).toBeGreaterThan(0)
      expect(current().staging.isAboveHighWater()).toBe(false)
    })

    test('counts bytes from when they are received, and blobs from when they are kept', async () => {
      {
        await using staged = await receive(FILE)
        expect(usage()).toMatchObject({ bytes: FILE.length, count: 0 })
        await commit(current(), (tx) => current().staging.keep(tx, A, staged))
        expect(usage()).toMatchObject({ bytes: FILE.length, count: 1 })
      }
      expect(usage()).toMatchObject({ bytes: FILE.length, count: 1 })
    })

    test('counts each blob once, however often it is kept at the same moment', async () => {
      await Promise.all([keep(A, INLINE), keep(A, INLINE), keep(B, 'b')])
      await keep(A, INLINE)
      expect(usage()).toMatchObject({ bytes: INLINE.length + 1, count: 2 })
    })

    test('does not count what was released, discarded, or not committed', async () => {
      await keep(A, FILE)
      await Promise.all([release(A), release(B)])
      {
        await using staged = await receive('never kept')
        const failing = commit(current(), (tx) => {
          current().staging.keep(tx, B, staged)
          failPlan()
        })
        await expect(failing).rejects.toMatchObject({ code: 'CONFLICT' })
      }
      expect(usage()).toMatchObject({ bytes: 0, count: 0 })
    })
  })

  describe('releasable()', () => {
    const mark = (id: typeof A) => commit(current(), (tx) => current().staging.markReleasable(tx, id))
    const unmark = (id: typeof A) => commit(current(), (tx) => current().staging.unmarkReleasable(tx, id))
    const releasable = (limit = 9) => current().staging.releasable({ limit })

    test('lists what is marked, the longest marked first, and no more than asked for', async () => {
      expect(await releasable()).toEqual([])
      await keep(A, 'a')
      await keep(B, FILE)
      await mark(B)
      await mark(A)
      expect(await releasable()).toEqual([B, A])
      expect(await releasable(1)).toEqual([B])
    })

    test('keeps the place of what is marked again', async () => {
      await mark(B)
      await mark(A)
      await Promise.all([mark(B), mark(B)])
      expect(await releasable()).toEqual([B, A])
    })

    test('leaves out what was unmarked or released', async () => {
      await keep(A, 'a')
      await keep(B, 'b')
      await Promise.all([mark(A), mark(B)])
      await unmark(A)
      await unmark(A)
      expect(await releasable()).toEqual([B])
      await release(B)
      expect(await releasable()).toEqual([])
    })

    test('lists what was released, kept and marked again', async () => {
      await keep(A, 'a')
      await mark(A)
      await release(A)
      await keep(A, 'a')
      await mark(A)
      expect(await releasable()).toEqual([A])
    })
  })
}
