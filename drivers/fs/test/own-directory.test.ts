import { execFileSync } from 'node:child_process'
import { mkdir, readdir, readFile, rename, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { testDirectory } from '@stored/testing/directory'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { FsBackend } from '../src/index.ts'
import { io } from '../src/io.ts'
import { temporaryName } from '../src/temp-names.ts'
import { bodyOf, keysOf, openBackend, pausedBody, signal } from './fixture.ts'

afterEach(() => vi.restoreAllMocks())

const REFUSED = { code: 'MISCONFIGURED', retryable: false }
const FOREIGN = ['notes.txt', '5f0c1f5e-6c3e-4a4e-9a53-6f3a1f0a9b11', temporaryName()]

/** A directory that is not the driver's, full of files older than any put. */
async function makeOutside(place: string, names: readonly string[] = FOREIGN): Promise<string> {
  const outside = join(place, 'outside')
  await mkdir(outside)
  for (const name of names) {
    await writeFile(join(outside, name), 'not of this root')
    await utimes(join(outside, name), 0, 0)
  }
  return outside
}

async function swap(path: string, target: string): Promise<void> {
  await rename(path, `${path}-moved`)
  await symlink(target, path)
}

/** Calls `act` before the next call of `name` reaches the system. */
function beforeNext<Name extends 'lstat' | 'entries'>(name: Name, act: () => Promise<void>): void {
  const original = io[name] as (...args: unknown[]) => Promise<unknown>
  let done: Promise<void> | undefined
  vi.spyOn(io, name).mockImplementation((async (...args: unknown[]) => {
    done ??= act()
    await done
    return original(...args)
  }) as never)
}

describe('open() of a root in which somebody planted', () => {
  const plants = {
    'a link for .stored': (root: string, outside: string) => symlink(outside, join(root, '.stored')),
    'a file for .stored': (root: string) => writeFile(join(root, '.stored'), 'planted'),
    'a link for .stored/tmp': (root: string, outside: string) => inOwn(root, 'tmp', (path) => symlink(outside, path)),
    'a file for .stored/tmp': (root: string) => inOwn(root, 'tmp', (path) => writeFile(path, 'planted')),
    'a link for .stored/root': (root: string, outside: string) =>
      inOwn(root, 'root', (path) => symlink(join(outside, 'notes.txt'), path)),
    'a pipe for .stored/root': (root: string) =>
      inOwn(root, 'root', async (path) => void execFileSync('mkfifo', [path])),
    'a directory for .stored/root': (root: string) => inOwn(root, 'root', (path) => mkdir(path)),
    'a file of others for .stored/root': (root: string) =>
      inOwn(root, 'root', (path) => writeFile(path, 'not of this root')),
    'a large file for .stored/root': (root: string) =>
      inOwn(root, 'root', (path) => writeFile(path, Buffer.alloc(16 << 20))),
  }

  async function inOwn(root: string, name: string, plant: (path: string) => Promise<unknown>): Promise<void> {
    await mkdir(join(root, '.stored'))
    await plant(join(root, '.stored', name))
  }

  for (const [what, plant] of Object.entries(plants))
    it(`${what} is MISCONFIGURED, makes nothing there or anywhere, and shows nothing of it`, async () => {
      const place = await testDirectory()
      const root = join(place, 'root')
      const outside = await makeOutside(place)
      await mkdir(root)
      await plant(root, outside)
      const before = await readdir(place, { recursive: true })
      const backend = new FsBackend({ root })
      const error = await backend.open({ log: () => {} }).catch((reason) => reason)
      expect(error).toMatchObject(REFUSED)
      expect(error.message).not.toContain('not of this root')
      expect(backend.medium).toBeUndefined()
      expect((await readdir(place, { recursive: true })).sort()).toEqual(before.sort())
    })
})

describe.each([
  ['with /proc', true],
  ['without /proc', false],
])('a directory that is swapped for a link, %s', (_, procfs) => {
  beforeEach(() => {
    if (procfs) return
    vi.spyOn(io, 'readlink').mockRejectedValue(Object.assign(new Error('no /proc'), { code: 'ENOENT' }))
  })

  it.skipIf(procfs && process.platform !== 'linux')('after open() has sweep() remove nothing', async () => {
    const { backend, root, place } = await openBackend()
    const outside = await makeOutside(place)
    await swap(join(root, '.stored/tmp'), outside)
    await expect(backend.sweep({ olderThanMs: 0, signal })).rejects.toMatchObject(REFUSED)
    expect((await readdir(outside)).sort()).toEqual([...FOREIGN].sort())
  })

  it('after open() has sweep() remove nothing either when it is that of all that is the driver’s', async () => {
    const { backend, root, place } = await openBackend()
    const outside = await makeOutside(place, [])
    await mkdir(join(outside, 'tmp'))
    for (const name of FOREIGN) await writeFile(join(outside, 'tmp', name), 'not of this root')
    await swap(join(root, '.stored'), outside)
    await expect(backend.sweep({ olderThanMs: 0, signal })).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect((await readdir(join(outside, 'tmp'))).sort()).toEqual([...FOREIGN].sort())
  })

  it('while sweep() looks at a file has it remove nothing of that name', async () => {
    const { backend, root, place } = await openBackend()
    const name = temporaryName()
    await writeFile(join(root, '.stored/tmp', name), '')
    const outside = await makeOutside(place, [name])
    beforeNext('lstat', () => swap(join(root, '.stored/tmp'), outside))
    await backend.sweep({ olderThanMs: 0, signal }).catch(() => {})
    expect(await readdir(outside)).toEqual([name])
  })

  it('has a put() write nothing outside', async () => {
    const { backend, root, place } = await openBackend()
    const outside = await makeOutside(place, [])
    await swap(join(root, '.stored/tmp'), outside)
    await expect(backend.put('key', bodyOf('x'), { signal })).rejects.toMatchObject(REFUSED)
    expect(await readdir(outside)).toEqual([])
    expect(await keysOf(backend)).toEqual([])
  })

  it.skipIf(procfs)('just before a put() makes its file has it write nothing into that', async () => {
    const { backend, root, place } = await openBackend()
    const outside = await makeOutside(place, [])
    const { realpath } = io
    const look = vi.spyOn(io, 'realpath').mockImplementationOnce((async (path: string) => {
      const found = await realpath(path)
      await swap(join(root, '.stored/tmp'), outside)
      return found
    }) as never)
    await expect(backend.put('key', bodyOf('x'), { signal })).rejects.toMatchObject(REFUSED)
    expect(look).toHaveBeenCalled()
    expect(await readdir(outside)).toEqual([])
  })

  it('for a directory of blobs while delete() looks has it remove nothing outside', async () => {
    const { backend, root, place } = await openBackend()
    await backend.put('dir/key', bodyOf('inside'), { signal })
    const outside = await makeOutside(place, ['key'])
    beforeNext('lstat', () => swap(join(root, 'dir'), outside))
    await backend.delete('dir/key', { signal })
    expect(await readdir(outside)).toEqual(['key'])
  })

  it('during a put() has it write nothing outside', async () => {
    const { backend, root, place } = await openBackend()
    const outside = await makeOutside(place, [])
    const { body, reached, release } = pausedBody('a', 'b')
    const put = backend.put('key', body, { signal })
    await reached
    await swap(join(root, '.stored/tmp'), outside)
    release()
    await put.catch(() => {})
    expect(await readdir(outside)).toEqual([])
  })

  it('while it is listed has list() describe nothing outside', async () => {
    const { backend, root, place } = await openBackend({ fsync: false })
    const names = Array.from({ length: 200 }, (_, i) => `n${i}`)
    for (const name of names) await backend.put(`dir/${name}`, bodyOf('inside'), { signal })
    const outside = await makeOutside(place, names)
    const sizes: number[] = []
    for await (const { size } of backend.list({ prefix: '', signal })) {
      if (sizes.length === 0) await swap(join(root, 'dir'), outside)
      sizes.push(size)
    }
    expect(new Set(sizes)).toEqual(new Set(['inside'.length]))
  })

  it('in the moment in which it is read has list() name nothing outside', async () => {
    const { backend, root, place, logged } = await openBackend()
    await backend.put('dir/key', bodyOf('inside'), { signal })
    const outside = await makeOutside(place, ['secret', 'sec\nret'])
    await rm(join(root, 'dir-moved'), { recursive: true, force: true })
    beforeNext('entries', () => swap(join(root, 'dir'), outside))
    expect(await keysOf(backend, 'dir/')).not.toContain('dir/secret')
    expect(logged).toEqual([])
  })
})

describe('sweep()', () => {
  it('leaves files that this driver did not name', async () => {
    const { backend, root } = await openBackend()
    const tmp = join(root, '.stored/tmp')
    for (const name of FOREIGN) {
      await writeFile(join(tmp, name), '')
      await utimes(join(tmp, name), 0, 0)
    }
    expect(await backend.sweep({ olderThanMs: 0, signal })).toBe(1)
    expect((await readdir(tmp)).sort()).toEqual(['5f0c1f5e-6c3e-4a4e-9a53-6f3a1f0a9b11', 'notes.txt'])
  })

  it('removes what a probe that was cut off left', async () => {
    const { backend, root, place } = await openBackend()
    vi.spyOn(io, 'unlink').mockRejectedValue(Object.assign(new Error('cut off'), { code: 'EIO' }))
    await expect(new FsBackend({ root }).open({ log: () => {} })).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    vi.restoreAllMocks()
    expect(await readdir(join(root, '.stored/tmp'))).not.toEqual([])
    await backend.sweep({ olderThanMs: 0, signal })
    expect(await readdir(join(root, '.stored/tmp'))).toEqual([])
    expect(await readdir(place)).toEqual(['root'])
  })
})

describe('the mark of a root', () => {
  it('that was swapped for a link is not taken for the mark, whatever it says', async () => {
    const { backend, root, place } = await openBackend()
    const outside = await makeOutside(place)
    const mark = join(root, '.stored/root')
    await writeFile(join(outside, 'mark'), await readFile(mark))
    await rm(mark)
    await symlink(join(outside, 'mark'), mark)
    await expect(backend.stat('key', { signal })).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect((await stat(join(outside, 'mark'))).isFile()).toBe(true)
  })
})
