import { mkdir, readdir, readFile, rename, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { io } from '../src/io.ts'
import { bodyOf, keysOf, openBackend, pausedBody, signal } from './fixture.ts'

afterEach(() => vi.restoreAllMocks())

describe('symbolic links', () => {
  async function openBesideOutside() {
    const opened = await openBackend()
    const outside = join(opened.place, 'outside')
    await mkdir(outside)
    await writeFile(join(outside, 'secret'), 'secret')
    await symlink(outside, join(opened.root, 'link'))
    return { ...opened, outside }
  }

  it('on the way of a put make it reject with KEY_CONFLICT and write nothing', async () => {
    const { backend, outside } = await openBesideOutside()
    for (const key of ['link/secret', 'link/new', 'link/deeper/new'])
      for (const ifAbsent of [{}, { ifAbsent: true } as const])
        await expect(backend.put(key, bodyOf('x'), { signal, ...ifAbsent })).rejects.toMatchObject({
          code: 'KEY_CONFLICT',
        })
    expect(await readdir(outside)).toEqual(['secret'])
    expect(await readFile(join(outside, 'secret'), 'utf8')).toBe('secret')
  })

  it('that are dangling make a put below them reject with KEY_CONFLICT', async () => {
    const { backend, root } = await openBackend()
    await symlink('nowhere', join(root, 'dangling'))
    await expect(backend.put('dangling/key', bodyOf('x'), { signal })).rejects.toMatchObject({
      code: 'KEY_CONFLICT',
    })
    expect(await readdir(root)).not.toContain('nowhere')
  })

  it('hide what they lead to from get, stat, list and delete', async () => {
    const { backend, root, outside } = await openBesideOutside()
    await symlink(join(outside, 'secret'), join(root, 'file'))
    for (const key of ['link/secret', 'file']) {
      await expect(backend.get(key, { signal })).rejects.toMatchObject({ code: 'NOT_FOUND' })
      expect(await backend.stat(key, { signal })).toBeNull()
      await backend.delete(key, { signal })
    }
    expect(await keysOf(backend)).toEqual([])
    expect(await keysOf(backend, 'link/')).toEqual([])
    expect(await readdir(outside)).toEqual(['secret'])
    expect(await readdir(root)).toContain('file')
  })

  it('that take the place of a directory during a put do not move it outside', async () => {
    const { backend, root, outside } = await openBesideOutside()
    await backend.put('dir/old', bodyOf('x'), { signal })
    const { body, reached, release } = pausedBody('a', 'b')
    const put = backend.put('dir/new', body, { signal })
    await reached
    await rename(join(root, 'dir'), join(root, 'moved'))
    await symlink(outside, join(root, 'dir'))
    release()
    await expect(put).rejects.toMatchObject({ code: 'KEY_CONFLICT' })
    expect(await readdir(outside)).toEqual(['secret'])
  })

  it.runIf(process.platform === 'linux')('that take its place just before the rename do not either', async () => {
    const { backend, root, outside } = await openBesideOutside()
    await backend.put('dir/old', bodyOf('x'), { signal })
    const { rename: publish } = io
    vi.spyOn(io, 'rename').mockImplementation(async (from, to) => {
      await rename(join(root, 'dir'), join(root, 'moved'))
      await symlink(outside, join(root, 'dir'))
      await publish(from, to)
    })
    await expect(backend.put('dir/new', bodyOf('x'), { signal })).rejects.toMatchObject({ ambiguous: true })
    expect(await readdir(outside)).toEqual(['secret'])
  })
})
