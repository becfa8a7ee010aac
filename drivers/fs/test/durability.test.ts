import fs from 'node:fs'
import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { StorageError } from '@stored/core/backend'
import { testDirectory } from '@stored/testing/directory'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { FsBackend } from '../src/index.ts'
import { io } from '../src/io.ts'
import { bodyOf, keysOf, openBackend, readBlob, signal } from './fixture.ts'

afterEach(() => vi.restoreAllMocks())

/** Records the calls that make a blob durable, in order, with paths below the root. */
function recordCalls(root: string): string[] {
  const calls: string[] = []
  const nameOf = (path: string) => {
    const [, fd, rest] = /^\/proc\/self\/fd\/(\d+)(.*)/.exec(path) ?? []
    const real = fd === undefined ? path : fs.readlinkSync(`/proc/self/fd/${fd}`) + rest
    return real.replace(root, '').replace(/\/\.stored\/tmp\/.*/, 'temp') || '/'
  }
  for (const call of ['fdatasync', 'fsync'] as const) {
    const original = io[call]
    vi.spyOn(io, call).mockImplementation((fd) => {
      calls.push(`flush ${nameOf(`/proc/self/fd/${fd}`)}`)
      return original(fd)
    })
  }
  const { rename, link, mkdir, unlink } = io
  vi.spyOn(io, 'rename').mockImplementation((from, to) => {
    calls.push(`rename ${nameOf(String(from))} ${nameOf(String(to))}`)
    return rename(from, to)
  })
  vi.spyOn(io, 'link').mockImplementation((from, to) => {
    calls.push(`link ${nameOf(String(from))} ${nameOf(String(to))}`)
    return link(from, to)
  })
  vi.spyOn(io, 'mkdir').mockImplementation(((path: string, options?: { recursive: true }) => {
    calls.push(`mkdir ${nameOf(path)}`)
    return mkdir(path, options)
  }) as typeof mkdir)
  vi.spyOn(io, 'unlink').mockImplementation((path) => {
    calls.push(`unlink ${nameOf(String(path))}`)
    return unlink(path)
  })
  return calls
}

const eio = () => Promise.reject(Object.assign(new Error('EIO: i/o error'), { code: 'EIO' }))

describe.runIf(process.platform === 'linux')('open()', () => {
  it('flushes the parent of each directory that it makes, and the root’s marker before and after it is named', async () => {
    const place = await testDirectory()
    const root = join(place, 'root')
    const calls = recordCalls(root)
    const backend = new FsBackend({ root })
    await backend.open({ log: () => {} })
    const made = [`flush ${place}`, 'flush /', 'flush /.stored']
    const named = ['flush temp', 'link temp /.stored/root', 'flush /.stored']
    expect(calls.filter((call) => /^flush|\/root$/.test(call))).toEqual([...made, ...named])
    await backend.close()
  })
})

describe.runIf(process.platform === 'linux')('put()', () => {
  it('flushes the file, then renames it, then flushes the directory', async () => {
    const { backend, root } = await openBackend()
    await backend.put('first', bodyOf('1'), { signal })
    const calls = recordCalls(root)
    await backend.put('second', bodyOf('2'), { signal })
    expect(calls).toEqual(['flush temp', 'rename temp /second', 'flush /'])
  })

  it('with ifAbsent links the flushed file and removes its first name', async () => {
    const { backend, root } = await openBackend()
    const calls = recordCalls(root)
    await backend.put('new', bodyOf('1'), { signal, ifAbsent: true })
    expect(calls).toEqual(['flush temp', 'link temp /new', 'unlink temp', 'flush /'])
  })

  it('flushes the parent of each directory that it makes', async () => {
    const { backend, root } = await openBackend()
    const calls = recordCalls(root)
    await backend.put('a/b/c', bodyOf('1'), { signal })
    expect(calls).toEqual([
      'flush temp',
      'mkdir /a',
      'flush /',
      'mkdir /a/b',
      'flush /a',
      'rename temp /a/b/c',
      'flush /a/b',
    ])
  })

  it('flushes the parent of a directory that someone else made, once', async () => {
    const { backend, root } = await openBackend()
    await mkdir(join(root, 'a'))
    const calls = recordCalls(root)
    await backend.put('a/1', bodyOf('1'), { signal })
    await backend.put('a/2', bodyOf('2'), { signal })
    expect(calls.filter((call) => call === 'flush /')).toHaveLength(1)
  })

  it('flushes its directory again after another put recreated it', async () => {
    const { backend, root } = await openBackend()
    await backend.put('a/1', bodyOf('1'), { signal })
    await backend.delete('a/1', { signal })
    const calls = recordCalls(root)
    await backend.put('a/2', bodyOf('2'), { signal })
    expect(calls).toEqual(['flush temp', 'mkdir /a', 'flush /', 'rename temp /a/2', 'flush /a'])
  })

  it('many concurrent puts in one directory share its flushes', async () => {
    const { backend, root } = await openBackend()
    const calls = recordCalls(root)
    await Promise.all(Array.from({ length: 50 }, (_, i) => backend.put(`${i}`, bodyOf('x'), { signal })))
    const flushes = calls.filter((call) => call === 'flush /').length
    expect(calls.filter((call) => call.startsWith('rename'))).toHaveLength(50)
    expect(flushes).toBeLessThan(50)
    expect(calls.lastIndexOf('flush /')).toBeGreaterThan(calls.findLastIndex((call) => call.startsWith('rename')))
  })

  it('without fsync flushes nothing', async () => {
    const { backend, root } = await openBackend({ fsync: false })
    const calls = recordCalls(root)
    await backend.put('a/b', bodyOf('1'), { signal })
    expect(calls.filter((call) => call.startsWith('flush'))).toEqual([])
  })

  it('whose file cannot be flushed rejects with UNAVAILABLE, stores nothing and does not flush it again', async () => {
    const { backend, root } = await openBackend()
    await backend.put('key', bodyOf('old'), { signal })
    const fdatasync = vi.spyOn(io, 'fdatasync').mockImplementation(eio)
    await expect(backend.put('key', bodyOf('new'), { signal })).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(fdatasync).toHaveBeenCalledTimes(1)
    expect(await readBlob(backend, 'key')).toBe('old')
    expect(await readdir(join(root, '.stored/tmp'))).toEqual([])
  })

  it('whose directory cannot be flushed rejects as ambiguous, and so do all that wait for a flush of it', async () => {
    const { backend } = await openBackend()
    await backend.put('warm', bodyOf(''), { signal })
    const fsync = vi.spyOn(io, 'fsync').mockImplementation(eio)
    const puts = await Promise.allSettled(
      Array.from({ length: 8 }, (_, i) => backend.put(`${i}`, bodyOf('x'), { signal })),
    )
    for (const put of puts)
      expect(put).toMatchObject({ status: 'rejected', reason: { code: 'UNAVAILABLE', ambiguous: true } })
    fsync.mockRestore()
    await backend.put('later', bodyOf('x'), { signal })
    expect(await keysOf(backend)).toContain('later')
  })

  it('on a full disk rejects with NO_SPACE and leaves nothing', async () => {
    const { backend, root } = await openBackend()
    const full = Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' })
    vi.spyOn(io, 'write').mockRejectedValue(full)
    const error = await backend.put('key', bodyOf('x'), { signal }).catch((reason) => reason)
    expect(StorageError.is(error) && error.code).toBe('NO_SPACE')
    expect(error.cause).toBe(full)
    expect(await readdir(join(root, '.stored/tmp'))).toEqual([])
    expect(await keysOf(backend)).toEqual([])
  })
})

describe.runIf(process.platform === 'linux')('delete()', () => {
  it('removes the file, then flushes the directory', async () => {
    const { backend, root } = await openBackend()
    await backend.put('key', bodyOf('1'), { signal })
    const calls = recordCalls(root)
    await backend.delete('key', { signal })
    expect(calls).toEqual(['unlink /key', 'flush /'])
  })
})
