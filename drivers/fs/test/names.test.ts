import { execFileSync } from 'node:child_process'
import { mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { runConformance } from '@stored/conformance'
import { EXFAT, FAT, type Medium, mount, NTFS } from '@stored/services'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { FsBackend } from '../src/index.ts'
import { io } from '../src/io.ts'
import { bodyOf, keysOf, openBackend, readBlob, signal } from './fixture.ts'

afterEach(() => vi.restoreAllMocks())

const errno = (code: string) => Object.assign(new Error(code), { code })

/**
 * A medium that cannot hold a name with a colon, and answers `creating` when one is created, `looking` when one is
 * looked up.
 */
function refuseColons(creating: string, looking: string): void {
  for (const call of ['rename', 'link'] as const) {
    const real = io[call]
    vi.spyOn(io, call).mockImplementation(async (from, to, pace) => {
      if (to.includes(':')) throw errno(creating)
      return real(from, to, pace)
    })
  }
  const { mkdir: make, open, lstat } = io
  vi.spyOn(io, 'mkdir').mockImplementation((async (path: string) => {
    if (path.includes(':')) throw errno(creating)
    return make(path)
  }) as typeof io.mkdir)
  vi.spyOn(io, 'open').mockImplementation(async (path, ...rest) => {
    if (path.includes(':')) throw errno(looking)
    return open(path, ...rest)
  })
  vi.spyOn(io, 'lstat').mockImplementation(async (path, pace) => {
    if (path.includes(':')) throw errno(looking)
    return lstat(path, pace)
  })
}

/** What holds for a backend whose medium refuses all of these names, whatever the call. */
async function expectRefusal(backend: FsBackend, root: string, names: readonly string[]): Promise<void> {
  await backend.put('dir/before', bodyOf('before'), { signal })
  for (const name of names)
    for (const key of [name, `dir/${name}`, `${name}/below`, `dir/${name}/below/it`]) {
      for (const ifAbsent of [{}, backend.capabilities.ifAbsent ? ({ ifAbsent: true } as const) : {}])
        await expect(backend.put(key, bodyOf('x'), { signal, ...ifAbsent }), key).rejects.toMatchObject({
          code: 'INVALID_KEY',
          retryable: false,
          at: { op: 'put', key },
        })
      expect(await backend.stat(key, { signal }), key).toBeNull()
      await expect(backend.get(key, { signal }), key).rejects.toMatchObject({ code: 'NOT_FOUND' })
      await backend.delete(key, { signal })
    }
  await backend.put('dir/after', bodyOf('after'), { signal })
  expect(await keysOf(backend)).toEqual(['dir/after', 'dir/before'])
  for (const name of names) expect(await keysOf(backend, `${name}/`)).toEqual([])
  expect((await readdir(join(root, 'dir'))).sort()).toEqual(['after', 'before'])
  expect((await readdir(root)).sort()).toEqual(['.stored', 'dir'])
  expect(await readdir(join(root, '.stored/tmp'))).toEqual([])
}

describe('a name that the medium cannot hold', () => {
  it.each([
    ['EINVAL', 'ENOENT'],
    ['EINVAL', 'EINVAL'],
    ['ENOENT', 'ENOENT'],
    ['EILSEQ', 'EILSEQ'],
    ['ENAMETOOLONG', 'ENAMETOOLONG'],
  ])('is INVALID_KEY to put, and nothing to all other calls, where it is refused with %s and %s', async (...codes) => {
    const { backend, root } = await openBackend()
    refuseColons(...codes)
    await expectRefusal(backend, root, ['a:b'])
  })

  const bad = ['a:b', 'what?', '*', 'a\\b']
  it.for([
    [NTFS, [...bad, 'tail ', 'dot.', 'CON']],
    [EXFAT, bad],
    [FAT, bad],
  ] as [Medium, string[]][])('is so on $0.name', async ([medium, names], { skip }) => {
    const mounted = await mount(medium)
    if (typeof mounted === 'string') return skip(mounted)
    await using _ = mounted
    const root = join(mounted.path, 'root')
    const backend = new FsBackend({ root })
    await backend.open({ log: () => {} })
    await expectRefusal(backend, root, names)
    await backend.close()
    const report = await runConformance(
      { name: medium.name, open: async () => new FsBackend({ root }), refusedNames: names },
      { only: ['key.refused'] },
    )
    expect(report.failed).toEqual([])
    expect(report.proved.map(({ id }) => id)).toContain('key.refused')
  })
})

describe('what looks like a refused name but is not', () => {
  it.each(['EINVAL', 'ENOENT'])('a medium that answers %s to every name is no fault of the key', async (code) => {
    const { backend } = await openBackend()
    for (const call of ['rename', 'link', 'mkdir'] as const) vi.spyOn(io, call).mockRejectedValue(errno(code))
    const put = backend.put('key', bodyOf('x'), { signal })
    await expect(put).rejects.toMatchObject({ code: code === 'EINVAL' ? 'INTERNAL' : 'CONFLICT' })
  })

  it('a medium that answers EINVAL to every lookup does not say that nothing is there', async () => {
    const { backend } = await openBackend()
    await backend.put('key', bodyOf('x'), { signal })
    vi.spyOn(io, 'open').mockRejectedValue(errno('EINVAL'))
    await expect(backend.stat('key', { signal })).rejects.toMatchObject({ code: 'INTERNAL' })
    await expect(backend.get('key', { signal })).rejects.toMatchObject({ code: 'INTERNAL' })
    await expect(backend.delete('key', { signal })).rejects.toMatchObject({ code: 'INTERNAL' })
  })

  it('a temporary file that somebody removed is no fault of the key', async () => {
    const { backend, root } = await openBackend()
    async function* body(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('x')
      for (const name of await readdir(join(root, '.stored/tmp'))) await rm(join(root, '.stored/tmp', name))
    }
    await expect(backend.put('key', body(), { signal })).rejects.toMatchObject({ code: 'CONFLICT' })
  })

  it('a root that is gone is UNAVAILABLE, not a key that the medium refuses', async () => {
    const { backend, root } = await openBackend()
    await rm(root, { recursive: true })
    await expect(backend.put('key', bodyOf('x'), { signal })).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  })
})

describe('something of another kind in the way of a put', () => {
  it.each([
    ['a directory', (path: string) => mkdir(path)],
    ['a symbolic link', (path: string) => symlink('elsewhere', path)],
  ] as const)('%s is KEY_CONFLICT, stays as it is, and other keys go on', async (_, make) => {
    const { backend, root } = await openBackend()
    await make(join(root, 'key'))
    for (const ifAbsent of [{}, { ifAbsent: true } as const])
      await expect(backend.put('key', bodyOf('x'), { signal, ...ifAbsent })).rejects.toMatchObject({
        code: 'KEY_CONFLICT',
        retryable: false,
      })
    await backend.put('other', bodyOf('y'), { signal })
    expect(await readBlob(backend, 'other')).toBe('y')
    expect(await keysOf(backend)).toEqual(['other'])
    expect((await readdir(root)).sort()).toEqual(['.stored', 'key', 'other'])
  })

  it('a blob where a directory would be is KEY_CONFLICT too', async () => {
    const { backend, root } = await openBackend()
    await writeFile(join(root, 'a'), 'blob')
    for (const key of ['a/b', 'a/b/c'])
      await expect(backend.put(key, bodyOf('x'), { signal })).rejects.toMatchObject({ code: 'KEY_CONFLICT' })
    expect(await readBlob(backend, 'a')).toBe('blob')
  })

  it('another file system is KEY_CONFLICT, since the rest of the root can be written', async ({ skip }) => {
    if (process.platform !== 'linux' || process.getuid?.() !== 0) return skip('only root of Linux may mount')
    const { backend, root } = await openBackend()
    await mkdir(join(root, 'mounted'))
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', join(root, 'mounted')])
    try {
      await expect(backend.put('mounted/key', bodyOf('x'), { signal })).rejects.toMatchObject({ code: 'KEY_CONFLICT' })
      await backend.put('other', bodyOf('y'), { signal })
    } finally {
      execFileSync('umount', [join(root, 'mounted')])
    }
    expect((await readdir(root)).sort()).toEqual(['.stored', 'mounted', 'other'])
    expect(await readdir(join(root, '.stored/tmp'))).toEqual([])
  })

  it('and it is MISCONFIGURED when nothing in the root can be reached', async () => {
    const { backend } = await openBackend()
    vi.spyOn(io, 'rename').mockRejectedValue(errno('EXDEV'))
    await expect(backend.put('key', bodyOf('x'), { signal })).rejects.toMatchObject({ code: 'MISCONFIGURED' })
  })
})
