import { execFileSync } from 'node:child_process'
import { mkdir, readdir, readFile, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { afterAll, afterEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { Connection } from '../src/connection.ts'
import { SftpBackend } from '../src/index.ts'
import { temporaryName } from '../src/temp-names.ts'
import { READ_ONLY, Server } from './server.ts'

const { signal } = new AbortController()
const offered = await Server.offer()
const reason = typeof offered === 'string' ? `, skipped: ${offered}` : ''
const server = offered as Server
afterAll(() => (typeof offered === 'string' ? undefined : offered[Symbol.asyncDispose]()))
afterEach(() => vi.restoreAllMocks())

const REFUSED = { code: 'MISCONFIGURED', retryable: false }
const FOREIGN = ['notes.txt', '5f0c1f5e-6c3e-4a4e-9a53-6f3a1f0a9b11', temporaryName()]

let places = 0

/** A directory with a future root, and one beside it that is not the driver's, full of files older than any put. */
async function makePlace(names: readonly string[] = FOREIGN) {
  const place = join(dirname(server.root), `place-${places++}`)
  const outside = join(place, 'outside')
  await mkdir(outside, { recursive: true })
  for (const name of names) {
    await writeFile(join(outside, name), 'not of this root')
    await utimes(join(outside, name), 0, 0)
  }
  return { place, outside, root: join(place, 'root') }
}

async function backendAt(root: string, privateKey?: string) {
  const backend = new SftpBackend(await server.options({ root, ...(privateKey && { privateKey }) }))
  onTestFinished(() => backend.close())
  return backend
}

async function openBackend(names?: readonly string[]) {
  const places = await makePlace(names)
  const backend = await backendAt(places.root)
  await backend.open({ log: () => {} })
  return { ...places, backend }
}

async function* bodyOf(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text)
}

async function swap(path: string, target: string): Promise<void> {
  await rename(path, `${path}-moved`)
  await symlink(target, path)
}

/** Calls `act` just before the next `name` of this path reaches the server; checks requested later run later. */
function beforeNext(name: 'opendir' | 'open', path: string, act: () => Promise<void>): void {
  const { realpath } = Connection.prototype
  const original = Connection.prototype[name] as (...args: [string, 'r' | 'wx']) => Promise<Buffer>
  let done: Promise<void> | undefined
  const call = async function (this: Connection, ...args: [string, 'r' | 'wx']) {
    if (args[0].startsWith(path)) done ??= act()
    await done
    return original.apply(this, args)
  }
  vi.spyOn(Connection.prototype, name as 'open').mockImplementation(call)
  vi.spyOn(Connection.prototype, 'realpath').mockImplementation(async function (this: Connection, asked) {
    await done
    return realpath.call(this, asked)
  })
}

describe.skipIf(reason)(`open() of a root in which somebody planted${reason}`, () => {
  const inOwn = async (root: string, name: string, plant: (path: string) => Promise<unknown>) => {
    await mkdir(join(root, '.stored'))
    await plant(join(root, '.stored', name))
  }
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
  }

  it.each(Object.entries(plants))('%s is MISCONFIGURED, makes nothing, and shows nothing of it', async (_, plant) => {
    const { place, root, outside } = await makePlace()
    await mkdir(root)
    await plant(root, outside)
    const before = await readdir(place, { recursive: true })
    const backend = await backendAt(root)
    const error = await backend.open({ log: () => {} }).catch((failure) => failure)
    expect(error).toMatchObject(REFUSED)
    expect(error.message).not.toContain('not of this root')
    expect(backend.medium).toBeUndefined()
    expect((await readdir(place, { recursive: true })).sort()).toEqual(before.sort())
  })

  it('a link for .stored/root is MISCONFIGURED for an account that may only read, too', async () => {
    const { root, outside } = await makePlace()
    await mkdir(join(root, '.stored/tmp'), { recursive: true })
    await symlink(join(outside, 'notes.txt'), join(root, '.stored/root'))
    const backend = await backendAt(root, await server.makeKey(READ_ONLY))
    await expect(backend.open({ log: () => {} })).rejects.toMatchObject(REFUSED)
    expect(backend.medium).toBeUndefined()
  })
})

describe.skipIf(reason)(`a directory that is swapped for a link${reason}`, () => {
  it('after open() has sweep() remove nothing', async () => {
    const { backend, root, outside } = await openBackend()
    await swap(join(root, '.stored/tmp'), outside)
    await expect(backend.sweep({ olderThanMs: 0, signal })).rejects.toMatchObject(REFUSED)
    expect((await readdir(outside)).sort()).toEqual([...FOREIGN].sort())
  })

  it('while sweep() reads it has it remove nothing', async () => {
    const { backend, root, outside } = await openBackend()
    const tmp = join(root, '.stored/tmp')
    beforeNext('opendir', tmp, () => swap(tmp, outside))
    await backend.sweep({ olderThanMs: 0, signal }).catch(() => {})
    expect((await readdir(outside)).sort()).toEqual([...FOREIGN].sort())
  })

  it('has a put() write nothing outside', async () => {
    const { backend, root, outside } = await openBackend([])
    await swap(join(root, '.stored/tmp'), outside)
    await expect(backend.put('key', bodyOf('x'), { signal })).rejects.toMatchObject(REFUSED)
    expect(await readdir(outside)).toEqual([])
  })

  it('and leads nowhere has a put() say so', async () => {
    const { backend, root } = await openBackend([])
    await swap(join(root, '.stored/tmp'), 'nowhere')
    await expect(backend.put('key', bodyOf('x'), { signal })).rejects.toMatchObject(REFUSED)
    expect(await readdir(join(root, '.stored'))).not.toContain('nowhere')
  })

  it('in the moment in which it is read has list() describe nothing outside', async () => {
    const { backend, root, outside } = await openBackend(['key', 'secret'])
    await backend.put('dir/key', bodyOf('inside'), { signal })
    beforeNext('opendir', join(root, 'dir'), () => swap(join(root, 'dir'), outside))
    expect(await Array.fromAsync(backend.list({ prefix: 'dir/', signal }))).toEqual([])
  })

  it('in the moment in which a blob is opened has get() read nothing outside', async () => {
    const { backend, root, outside } = await openBackend(['key'])
    await backend.put('dir/key', bodyOf('inside'), { signal })
    beforeNext('open', join(root, 'dir'), () => swap(join(root, 'dir'), outside))
    await expect(backend.get('dir/key', { signal })).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('before a delete() prunes has it remove no directory outside', async () => {
    const { backend, root, outside } = await openBackend([])
    await mkdir(join(outside, 'empty'))
    await backend.put('dir/empty/key', bodyOf('inside'), { signal })
    const { unlink } = Connection.prototype
    vi.spyOn(Connection.prototype, 'unlink').mockImplementation(async function (this: Connection, path: string) {
      await unlink.call(this, path)
      if (path.endsWith('/key')) await swap(join(root, 'dir'), outside)
    })
    await backend.delete('dir/empty/key', { signal })
    expect(await readdir(outside)).toEqual(['empty'])
  })

  it('in the moment in which a put() names its blob has it say that it may lie elsewhere', async () => {
    const { backend, root, outside } = await openBackend([])
    await backend.put('dir/key', bodyOf('inside'), { signal })
    const { replace } = Connection.prototype
    vi.spyOn(Connection.prototype, 'replace').mockImplementation(async function (this: Connection, from, to) {
      await swap(join(root, 'dir'), outside)
      await replace.call(this, from, to)
    })
    await expect(backend.put('dir/key', bodyOf('new'), { signal })).rejects.toMatchObject({
      code: 'CONFLICT',
      ambiguous: true,
    })
  })
})

describe.skipIf(reason)(`sweep()${reason}`, () => {
  it('removes what is old enough and in nobody’s use, and leaves what is not named as this driver names its files', async () => {
    const { backend, root } = await openBackend([])
    const tmp = join(root, '.stored/tmp')
    const [old, recent] = [temporaryName(), temporaryName()]
    for (const name of ['notes.txt', '5f0c1f5e-6c3e-4a4e-9a53-6f3a1f0a9b11', old, recent]) {
      await writeFile(join(tmp, name), '')
      if (name !== recent) await utimes(join(tmp, name), 0, 0)
    }
    expect(await backend.sweep({ olderThanMs: 3_600_000, signal })).toBe(1)
    expect((await readdir(tmp)).sort()).toEqual(['5f0c1f5e-6c3e-4a4e-9a53-6f3a1f0a9b11', 'notes.txt', recent].sort())
  })
})

describe.skipIf(reason)(`the mark of a root${reason}`, () => {
  it('that was swapped for a link is not taken for the mark, whatever it says', async () => {
    const { backend, root, outside } = await openBackend()
    const mark = join(root, '.stored/root')
    await writeFile(join(outside, 'mark'), await readFile(mark))
    await rm(mark)
    await symlink(join(outside, 'mark'), mark)
    await expect(backend.stat('key', { signal })).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  })
})
