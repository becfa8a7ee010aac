import { execFileSync } from 'node:child_process'
import { link, mkdir, readdir, readFile, rename, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { StorageError } from '@stored/core/backend'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { driver } from '../src/index.ts'
import { io } from '../src/io.ts'
import { temporaryName } from '../src/temp-names.ts'
import { bodyOf, keysOf, type Opened, openBackend, pausedBody, readBlob, signal } from './fixture.ts'

/** A busy machine may be slow; what never happens still fails. */
const PATIENCE = { timeout: 60_000 }

afterEach(() => vi.restoreAllMocks())

const temps = ({ root }: Opened) => readdir(join(root, '.stored/tmp'))
const openFiles = async () => (await readdir('/proc/self/fd')).length

describe('put()', () => {
  it('with ifAbsent lets exactly one of 50 racers win', async () => {
    const { backend } = await openBackend()
    const puts = await Promise.allSettled(
      Array.from({ length: 50 }, (_, i) => backend.put('dir/key', bodyOf(`${i}`), { signal, ifAbsent: true })),
    )
    const winners = puts.flatMap((put, i) => (put.status === 'fulfilled' ? [`${i}`] : []))
    expect(winners).toEqual([await readBlob(backend, 'dir/key')])
    for (const put of puts) if (put.status === 'rejected') expect(put.reason.code).toBe('ALREADY_EXISTS')
  })

  it('with ifAbsent over a directory rejects with KEY_CONFLICT, since no blob is there', async () => {
    const { backend } = await openBackend()
    await backend.put('dir/key', bodyOf('x'), { signal })
    await expect(backend.put('dir', bodyOf('y'), { signal, ifAbsent: true })).rejects.toMatchObject({
      code: 'KEY_CONFLICT',
    })
  })

  it('beside a delete that prunes its directory stores the blob', async () => {
    const { backend } = await openBackend()
    for (let i = 0; i < 50; i++) {
      await backend.put('a/b/old', bodyOf('x'), { signal })
      await Promise.all([backend.delete('a/b/old', { signal }), backend.put('a/b/new', bodyOf(`${i}`), { signal })])
      expect(await readBlob(backend, 'a/b/new')).toBe(`${i}`)
      await backend.delete('a/b/new', { signal })
    }
  })

  it('that is aborted while its source is silent rejects at once, releases the source and leaves nothing', async () => {
    const opened = await openBackend()
    const abort = new AbortController()
    let released = 0
    const body: AsyncIterable<Uint8Array> = {
      [Symbol.asyncIterator]: () => ({
        next: () => {
          queueMicrotask(() => abort.abort(new Error('enough')))
          return new Promise(() => {})
        },
        async return() {
          released++
          return { done: true, value: undefined }
        },
      }),
    }
    const put = opened.backend.put('dir/key', body, { signal: abort.signal })
    await expect(put).rejects.toMatchObject({ code: 'ABORTED', cause: new Error('enough') })
    expect(released).toBe(1)
    expect(await temps(opened)).toEqual([])
    expect(await readdir(opened.root)).toEqual(['.stored'])
  })

  it('whose body fails with an errno does not take it for one of the medium', async () => {
    const opened = await openBackend()
    const cause = Object.assign(new Error('no such file'), { code: 'ENOENT' })
    // biome-ignore lint/correctness/useYield: it fails before
    async function* body(): AsyncGenerator<Uint8Array> {
      throw cause
    }
    await expect(opened.backend.put('key', body(), { signal })).rejects.toMatchObject({ code: 'INTERNAL', cause })
    expect(await temps(opened)).toEqual([])
  })

  describe('of a file', () => {
    /** As on a medium with reflinks; with `failing`, cloning fails after all. */
    function reflinks({ failing }: { failing?: string } = {}) {
      const { copyFile } = io
      const clone = vi.spyOn(io, 'copyFile').mockImplementation((from, to) => copyFile(from, to))
      return () => {
        clone.mockClear()
        if (failing) clone.mockRejectedValue(Object.assign(new Error(failing), { code: failing }))
        return clone
      }
    }

    it('shares its blocks, reads the body to its end, and takes over neither mode nor place', async () => {
      const armed = reflinks()
      const { backend, root, place } = await openBackend()
      const file = join(place, 'source')
      await writeFile(file, 'bytes', { mode: 0o400 })
      const clone = armed()
      const write = vi.spyOn(io, 'write')
      let read = 0
      async function* body() {
        for (const chunk of ['by', 'tes']) {
          read += chunk.length
          yield Buffer.from(chunk)
        }
      }
      await expect(backend.put('key', body(), { signal, file })).resolves.toMatchObject({ size: 5 })
      expect([clone.mock.calls.length, write.mock.calls.length, read]).toEqual([1, 0, 5])
      expect(await readFile(join(root, 'key'), 'utf8')).toBe('bytes')
      expect((await stat(join(root, 'key'))).mode & 0o777).toBe(0o666 & ~process.umask())
      expect(await readFile(file, 'utf8')).toBe('bytes')
    })

    it('whose body throws at its end stores nothing, though the blocks were shared', async () => {
      const armed = reflinks()
      const opened = await openBackend()
      const file = join(opened.place, 'source')
      await writeFile(file, 'bytes')
      const clone = armed()
      async function* body() {
        yield Buffer.from('byte')
        throw new StorageError('CHECKSUM_MISMATCH', { op: 'put' })
      }
      await expect(opened.backend.put('key', body(), { signal, file })).rejects.toMatchObject({
        code: 'CHECKSUM_MISMATCH',
      })
      expect(clone).toHaveBeenCalledOnce()
      expect([await temps(opened), await keysOf(opened.backend)]).toEqual([[], []])
    })

    it.each(['EXDEV', 'ENOENT'])('that cannot be shared writes the body: %s', async (code) => {
      const armed = reflinks({ failing: code })
      const { backend, place } = await openBackend()
      const clone = armed()
      await backend.put('key', bodyOf('bytes'), { signal, file: join(place, 'none') })
      expect(clone).toHaveBeenCalledOnce()
      expect(await readBlob(backend, 'key')).toBe('bytes')
    })

    it('from another file system is not cloned again, nor are its neighbours; one elsewhere is', async () => {
      const armed = reflinks({ failing: 'EXDEV' })
      const { backend, place } = await openBackend()
      const clone = armed()
      const put = (file: string) => backend.put(file, bodyOf('bytes'), { signal, file: join(place, file) })
      for (const file of ['staging/1', 'staging/1', 'staging/2', 'elsewhere/1']) await put(file)
      expect(clone.mock.calls.map(([from]) => from)).toEqual([join(place, 'staging/1'), join(place, 'elsewhere/1')])
    })

    it('that was missing is cloned the next time', async () => {
      const armed = reflinks({ failing: 'ENOENT' })
      const { backend, place } = await openBackend()
      const clone = armed()
      for (const key of ['1', '2']) await backend.put(key, bodyOf('bytes'), { signal, file: join(place, 'none') })
      expect(clone).toHaveBeenCalledTimes(2)
    })

    it('on a medium without reflinks writes the body, and does not try', async () => {
      const clone = vi.spyOn(io, 'copyFile').mockRejectedValue(Object.assign(new Error(), { code: 'EOPNOTSUPP' }))
      const { backend, place } = await openBackend()
      const file = join(place, 'source')
      await writeFile(file, 'not these')
      clone.mockClear()
      await backend.put('key', bodyOf('bytes'), { signal, file })
      expect(clone).not.toHaveBeenCalled()
      expect(await readBlob(backend, 'key')).toBe('bytes')
    })
  })

  it('recreates its temporary directory if someone removed it', async () => {
    const { backend, root } = await openBackend()
    await rm(join(root, '.stored/tmp'), { recursive: true })
    await backend.put('key', bodyOf('x'), { signal })
    expect(await readBlob(backend, 'key')).toBe('x')
  })

  it('whose directory is moved away before it is flushed rejects with CONFLICT, ambiguous', async () => {
    const { backend, root } = await openBackend()
    await backend.put('dir/old', bodyOf('x'), { signal })
    const { rename: publish } = io
    vi.spyOn(io, 'rename').mockImplementation(async (from, to) => {
      await publish(from, to)
      await rename(join(root, 'dir'), join(root, 'moved'))
    })
    await expect(backend.put('dir/new', bodyOf('x'), { signal })).rejects.toMatchObject({
      code: 'CONFLICT',
      ambiguous: true,
    })
  })
})

describe('get()', () => {
  it('of a FIFO, a socket and a directory rejects with NOT_FOUND without waiting', async () => {
    const { backend, root } = await openBackend()
    execFileSync('mkfifo', [join(root, 'fifo')])
    await mkdir(join(root, 'dir'))
    for (const key of ['fifo', 'dir', 'fifo/key'])
      await expect(backend.get(key, { signal })).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('of a file truncated while being read throws instead of ending', async () => {
    const { backend, root } = await openBackend()
    await backend.put('key', bodyOf(Buffer.alloc(3 * 1024 * 1024)), { signal })
    const { body } = await backend.get('key', { signal })
    await truncate(join(root, 'key'), 1024 * 1024 + 1)
    await expect(Array.fromAsync(body)).rejects.toMatchObject({ code: 'CONFLICT' })
  })

  it('finds a blob under its name at all times while it is overwritten', async () => {
    const { backend } = await openBackend({ fsync: false })
    await backend.put('key', bodyOf('0'), { signal })
    let done = false
    const writing = (async () => {
      for (let i = 0; i < 500; i++) await backend.put('key', bodyOf(`${i}`), { signal })
      done = true
    })()
    const seen = new Set<string>()
    while (!done) {
      seen.add(await readBlob(backend, 'key'))
      expect(await backend.stat('key', { signal })).not.toBeNull()
    }
    await writing
    expect(seen.size).toBeGreaterThan(1)
  })

  it.runIf(process.platform === 'linux')('leaves no file open, read or not, failed or aborted', async () => {
    const { backend } = await openBackend()
    const large = Buffer.alloc(2 * 1024 * 1024)
    await backend.put('large', bodyOf(large), { signal })
    await backend.put('small', bodyOf('x'), { signal })
    const before = await openFiles()
    for (let i = 0; i < 100; i++) {
      const abort = new AbortController()
      for await (const _ of (await backend.get('large', { signal })).body) break
      const unread = await backend.get('large', { signal: abort.signal })
      const half = await backend.get('large', { signal: abort.signal })
      await half.body[Symbol.asyncIterator]().next()
      abort.abort()
      await expect(Array.fromAsync(unread.body)).rejects.toMatchObject({ code: 'ABORTED' })
      await expect(Array.fromAsync(half.body)).rejects.toMatchObject({ code: 'ABORTED' })
      await backend.get('small', { signal })
      await expect(backend.get('none', { signal })).rejects.toMatchObject({ code: 'NOT_FOUND' })
      await backend.put(`many/${i % 3}`, bodyOf('x'), { signal })
      await backend.delete(`many/${i % 3}`, { signal })
    }
    await vi.waitFor(async () => expect(await openFiles()).toBe(before), PATIENCE)
  })
})

describe('stat()', () => {
  it('tells two quick overwrites of the same size apart by etag', async () => {
    const { backend } = await openBackend({ fsync: false })
    const etags = []
    for (let i = 0; i < 200; i++) etags.push((await backend.put('key', bodyOf(`${i % 10}`), { signal })).etag)
    expect(new Set(etags).size).toBe(etags.length)
  })

  it('gives the etag and the fingerprint that put gave', async () => {
    const { backend } = await openBackend()
    for (const options of [{}, { ifAbsent: true } as const]) {
      const put = await backend.put(`key${Object.keys(options)}`, bodyOf('x'), { signal, ...options })
      expect(await backend.stat(put.key, { signal })).toEqual(put)
      expect((await backend.get(put.key, { signal })).stat).toEqual(put)
      expect(await Array.fromAsync(backend.list({ prefix: put.key, signal }))).toContainEqual(put)
    }
  })

  it('gives a renamed file a new fingerprint', async () => {
    const { backend, root } = await openBackend()
    const { etag, fingerprint } = await backend.put('key', bodyOf('x'), { signal })
    await link(join(root, 'key'), join(root, 'other'))
    const stat = await backend.stat('key', { signal })
    expect(stat?.etag).toBe(etag)
    expect(stat?.fingerprint).not.toBe(fingerprint)
  })
})

describe('delete()', () => {
  it('removes the directories that it leaves empty, and no others', async () => {
    const { backend, root } = await openBackend()
    await backend.put('a/b/c/1', bodyOf('x'), { signal })
    await backend.put('a/2', bodyOf('x'), { signal })
    await backend.delete('a/b/c/1', { signal })
    expect(await readdir(join(root, 'a'))).toEqual(['2'])
    await backend.delete('a/2', { signal })
    expect(await readdir(root)).toEqual(['.stored'])
  })

  it('of a directory, or below a file, resolves and removes nothing', async () => {
    const { backend } = await openBackend()
    await backend.put('a/b', bodyOf('x'), { signal })
    await backend.delete('a', { signal })
    await backend.delete('a/b/c', { signal })
    expect(await keysOf(backend)).toEqual(['a/b'])
  })
})

describe('list()', () => {
  it('never shows a blob being written', async () => {
    const opened = await openBackend()
    const { body, reached, release } = pausedBody('a', 'b')
    const put = opened.backend.put('key', body, { signal })
    await reached
    expect(await temps(opened)).toHaveLength(1)
    expect(await keysOf(opened.backend)).toEqual([])
    release()
    await put
    expect(await keysOf(opened.backend)).toEqual(['key'])
  })

  it('leaves out names that are no keys, with one warning each', async () => {
    const { backend, root, logged } = await openBackend()
    await writeFile(Buffer.concat([Buffer.from(`${root}/bad`), Buffer.from([0xff])]), '')
    await writeFile(join(root, 'line\nbreak'), '')
    await writeFile(join(root, 'replaced \ufffd'), '')
    expect(await keysOf(backend)).toEqual(['replaced \ufffd'])
    expect(logged.map(({ level, key }) => [level, key]).sort()).toEqual([
      ['warn', 'bad\\xff'],
      ['warn', 'line\nbreak'],
    ])
  })

  it('takes nothing from a directory whose name is not UTF-8, though another reads like it', async () => {
    const { backend, root, logged } = await openBackend()
    const foreign = Buffer.concat([Buffer.from(`${root}/d`), Buffer.from([0xff])])
    await mkdir(foreign)
    await writeFile(Buffer.concat([foreign, Buffer.from('/a')]), 'foreign')
    await mkdir(join(root, 'd\ufffd'))
    await writeFile(join(root, 'd\ufffd/b'), 'twin')
    expect(await keysOf(backend)).toEqual(['d\ufffd/b'])
    expect(logged.map(({ key }) => key)).toEqual(['d\\xff'])
  })

  it('reads only the directories that lead to requested keys', async () => {
    const { backend, root } = await openBackend({ fsync: false })
    for (const key of ['a/1', 'b/1', 'b/c/1', 'b/c/2', 'b/d/1', 'e/1']) await backend.put(key, bodyOf('x'), { signal })
    const entries = vi.spyOn(io, 'entries')
    const startAfter = 'b/c/1'
    const keys = await Array.fromAsync(backend.list({ prefix: 'b/', startAfter, signal }), ({ key }) => key)
    expect(keys).toEqual(['b/c/2', 'b/d/1'])
    expect(entries).toHaveBeenCalledTimes(3)
    expect(await readdir(root)).toHaveLength(4)
  })

  it('continues if a directory vanishes on the way', async () => {
    const { backend, root } = await openBackend()
    for (const key of ['a', 'b/1', 'c/1', 'd']) await backend.put(key, bodyOf('x'), { signal })
    const keys: string[] = []
    for await (const { key } of backend.list({ prefix: '', signal })) {
      keys.push(key)
      if (key === 'b/1') await rm(join(root, 'c'), { recursive: true })
    }
    expect(keys).toEqual(['a', 'b/1', 'd'])
  })

  it('of a prefix that climbs yields nothing', async () => {
    const { backend, place } = await openBackend()
    await writeFile(join(place, 'secret'), '')
    for (const prefix of ['../', '/', 'a//', './', '.stored/', '.stored/tmp/'])
      expect(await keysOf(backend, prefix)).toEqual([])
  })
})

describe('sweep()', () => {
  it('removes temporary files that are old enough and not in use', async () => {
    const opened = await openBackend()
    const tmp = join(opened.root, '.stored/tmp')
    const [old, recent] = [join(tmp, temporaryName()), join(tmp, temporaryName())]
    await writeFile(old, '')
    await utimes(old, 0, 0)
    await writeFile(recent, '')
    const { body, reached, release } = pausedBody('a', 'b')
    const put = opened.backend.put('key', body, { signal })
    await reached
    expect(await opened.backend.sweep({ olderThanMs: 3_600_000, signal })).toBe(1)
    expect(await opened.backend.sweep({ olderThanMs: 0, signal })).toBe(1)
    release()
    await put
    expect(await readBlob(opened.backend, 'key')).toBe('ab')
  })
})

describe('close()', () => {
  it('ends a put that waits for its source, and leaves nothing', async () => {
    const opened = await openBackend()
    const { body, reached } = pausedBody('a', 'b')
    const put = opened.backend.put('key', body, { signal })
    const rejection = expect(put).rejects.toMatchObject({ code: 'CLOSED' })
    await reached
    await opened.backend.close()
    await rejection
    expect(await temps(opened)).toEqual([])
  })

  it('ends an open body', async () => {
    const { backend } = await openBackend()
    await backend.put('key', bodyOf(Buffer.alloc(2 * 1024 * 1024)), { signal })
    const { body } = await backend.get('key', { signal })
    await backend.close()
    await expect(Array.fromAsync(body)).rejects.toMatchObject({ code: 'CLOSED' })
  })
})

describe('driver()', () => {
  it('makes a backend from its options, without I/O', () => {
    expect(driver({ root: '/does/not/exist' }).name).toBe('fs')
  })

  it('refuses an unknown option, suggesting the intended one', () => {
    expect(() => driver({ root: '/x', fsnyc: true })).toThrow(/"fsnyc".*"fsync"/)
  })

  it('refuses an option that is missing or of a wrong type, naming it', () => {
    expect(() => driver({})).toThrow(/"root" is missing/)
    expect(() => driver({ root: '' })).toThrow(/"root"/)
    expect(() => driver({ root: '/x', fsync: 'yes' })).toThrow(/"fsync" must be true or false, not string/)
    expect(() => driver({ root: '/x', symlinks: 'follow' })).toThrow(/"symlinks".*"refuse".*"follow"/)
  })
})
