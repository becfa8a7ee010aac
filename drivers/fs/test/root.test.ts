import { execFile } from 'node:child_process'
import { mkdir, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { testDirectory } from '@stored/testing/directory'
import { describe, expect, it } from 'vitest'
import { FsBackend } from '../src/index.ts'
import { bodyOf, keysOf, openBackend, readBlob, signal } from './fixture.ts'

const GONE = { code: 'UNAVAILABLE', retryable: true, message: expect.stringContaining('is not there') }

describe('a root that was taken away', () => {
  const calls = {
    put: (backend: FsBackend) => backend.put('a/b', bodyOf('new'), { signal }),
    'put in the root': (backend: FsBackend) => backend.put('c', bodyOf('new'), { signal }),
    get: (backend: FsBackend) => backend.get('a/b', { signal }),
    stat: (backend: FsBackend) => backend.stat('a/b', { signal }),
    delete: (backend: FsBackend) => backend.delete('a/b', { signal }),
    list: (backend: FsBackend) => keysOf(backend),
    'list of a prefix': (backend: FsBackend) => keysOf(backend, 'a/'),
    sweep: (backend: FsBackend) => backend.sweep({ olderThanMs: 0, signal }),
  }

  for (const [name, call] of Object.entries(calls)) {
    it(`makes ${name} reject with UNAVAILABLE, is not made again, and serves again when it is back`, async () => {
      const { backend, root, place } = await openBackend()
      await backend.put('a/b', bodyOf('old'), { signal })
      await rename(root, `${root}-away`)
      await expect(call(backend)).rejects.toMatchObject(GONE)
      expect(await readdir(place)).toEqual(['root-away'])
      await rename(`${root}-away`, root)
      expect(await readBlob(backend, 'a/b')).toBe('old')
      await call(backend)
    })

    it(`and left an empty mount point makes ${name} reject with UNAVAILABLE and stays empty`, async () => {
      const { backend, root } = await openBackend()
      await backend.put('a/b', bodyOf('old'), { signal })
      await rename(root, `${root}-away`)
      await mkdir(root)
      await expect(call(backend)).rejects.toMatchObject(GONE)
      expect(await readdir(root)).toEqual([])
    })

    it(`and lies behind a link by now makes ${name} reject with UNAVAILABLE, and serves again without it`, async () => {
      const { backend, root } = await openBackend()
      await backend.put('a/b', bodyOf('old'), { signal })
      await rename(root, `${root}-away`)
      await symlink(`${root}-away`, root)
      await expect(call(backend)).rejects.toMatchObject({ ...GONE, message: expect.stringContaining('behind a link') })
      await rm(root)
      await rename(`${root}-away`, root)
      expect(await readBlob(backend, 'a/b')).toBe('old')
      await call(backend)
    })

    it(`and a file in its place makes ${name} reject with UNAVAILABLE`, async () => {
      const { backend, root } = await openBackend()
      await backend.put('a/b', bodyOf('old'), { signal })
      await rename(root, `${root}-away`)
      await writeFile(root, '')
      await expect(call(backend)).rejects.toMatchObject(GONE)
    })
  }

  it('and a directory for its own files that is none any more is MISCONFIGURED, no fault of a key', async () => {
    const { backend, root } = await openBackend()
    await rm(join(root, '.stored/tmp'), { recursive: true })
    await writeFile(join(root, '.stored/tmp'), '')
    await expect(backend.put('key', bodyOf('x'), { signal })).rejects.toMatchObject({ code: 'MISCONFIGURED' })
  })

  for (const [name, leave] of [
    ['nothing', async () => {}],
    ['an empty mount point', async (root: string) => void (await mkdir(root))],
  ] as const)
    it(`and left ${name} is not made again by an open() that knows it, and serves when it is back`, async () => {
      const { backend, root, place } = await openBackend()
      await backend.put('a/b', bodyOf('old'), { signal })
      const { medium } = backend
      await rename(root, `${root}-away`)
      await leave(root)
      const left = await readdir(place)
      const again = new FsBackend({ root })
      await expect(again.open({ log: () => {}, medium: medium as string })).rejects.toMatchObject(GONE)
      expect(await readdir(place)).toEqual(left)
      await rm(root, { force: true, recursive: true })
      await rename(`${root}-away`, root)
      await again.open({ log: () => {}, medium: medium as string })
      expect(again.medium).toBe(medium)
      expect(await readBlob(again, 'a/b')).toBe('old')
    })

  it('during a put makes it reject with UNAVAILABLE', async () => {
    const { backend, root } = await openBackend()
    async function* body(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('x')
      await rename(root, `${root}-away`)
    }
    await expect(backend.put('a/b', body(), { signal })).rejects.toMatchObject(GONE)
  })

  it('with another in its place makes an absence UNAVAILABLE', async () => {
    const { backend, root, place } = await openBackend()
    await backend.put('dir/key', bodyOf('x'), { signal })
    const other = new FsBackend({ root: join(place, 'other') })
    await other.open({ log: () => {} })
    await rename(root, `${root}-away`)
    await rename(join(place, 'other'), root)
    const detail = { code: 'UNAVAILABLE', message: expect.stringContaining('another root') }
    await expect(backend.stat('key', { signal })).rejects.toMatchObject(detail)
    await expect(backend.put('key', bodyOf('x'), { signal })).rejects.toMatchObject(detail)
    expect(await readdir(root)).toEqual(['.stored'])
  })

  it('and came back as a copy, with other inodes, serves again', async () => {
    const { backend, root } = await openBackend()
    const id = await readFile(join(root, '.stored/root'))
    await rm(root, { recursive: true })
    await mkdir(join(root, '.stored/tmp'), { recursive: true })
    await writeFile(join(root, '.stored/root'), id)
    expect(await backend.stat('key', { signal })).toBeNull()
    await backend.put('a/b', bodyOf('new'), { signal })
    expect(await readBlob(backend, 'a/b')).toBe('new')
  })
})

describe('open()', () => {
  it('makes the root and its parents', async () => {
    const root = join(await testDirectory(), 'a/b')
    const backend = new FsBackend({ root })
    await backend.open({ log: () => {} })
    expect(await keysOf(backend)).toEqual([])
    expect(await readdir(join(root, '.stored/tmp'))).toEqual([])
  })

  it('of many concurrent instances agrees on one root', async () => {
    const root = join(await testDirectory(), 'root')
    const backends = Array.from({ length: 8 }, () => new FsBackend({ root }))
    await Promise.all(backends.map((backend) => backend.open({ log: () => {} })))
    expect(await Promise.all(backends.map((backend) => backend.stat('key', { signal })))).toEqual(Array(8).fill(null))
  })

  it('follows a link to the root, once', async () => {
    const place = await testDirectory()
    await mkdir(join(place, 'real'))
    await symlink('real', join(place, 'root'))
    const backend = new FsBackend({ root: join(place, 'root') })
    await backend.open({ log: () => {} })
    await backend.put('key', bodyOf('x'), { signal })
    expect(await readFile(join(place, 'real/key'), 'utf8')).toBe('x')
  })

  it('of a file rejects with MISCONFIGURED, and works once that is out of the way', async () => {
    const root = join(await testDirectory(), 'root')
    await writeFile(root, '')
    const backend = new FsBackend({ root })
    await expect(backend.open({ log: () => {} })).rejects.toMatchObject({ code: 'MISCONFIGURED' })
    await rm(root)
    await backend.open({ log: () => {} })
    expect(await keysOf(backend)).toEqual([])
  })

  it('refuses an own directory that is a link', async () => {
    const place = await testDirectory()
    await mkdir(join(place, 'root'))
    await mkdir(join(place, 'outside'))
    await symlink('../outside', join(place, 'root/.stored'))
    const backend = new FsBackend({ root: join(place, 'root') })
    await expect(backend.open({ log: () => {} })).rejects.toMatchObject({ code: 'MISCONFIGURED' })
  })

  it('must precede every other call', async () => {
    const backend = new FsBackend({ root: await testDirectory() })
    await expect(backend.stat('key', { signal })).rejects.toMatchObject({ code: 'MISCONFIGURED' })
  })
})

// In its own process, because a call that never ended could not be stopped here.
it.runIf(process.platform === 'linux')(
  'a root where the system makes no directories, though the one above is there, is MISCONFIGURED',
  async () => {
    const script = `
      import { FsBackend } from ${JSON.stringify(join(import.meta.dirname, '../src/index.ts'))}
      await new FsBackend({ root: '/proc/stored/below' }).open({}).catch(({ code }) => console.log(code))`
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
      timeout: 10_000,
      killSignal: 'SIGKILL',
    })
    expect(stdout).toBe('MISCONFIGURED\n')
  },
)
