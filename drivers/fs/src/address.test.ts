import fs from 'node:fs'
import { mkdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { testDirectory } from '@stored/testing/directory'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { addressOf } from './address.ts'

let root: string
beforeEach(async () => {
  root = await testDirectory()
  await mkdir(join(root, 'a/b'), { recursive: true })
})
afterEach(async () => {
  vi.restoreAllMocks()
})

describe('addressOf()', () => {
  it.each([
    ['a', 'a'],
    ['a/b', 'a/b'],
    ['not/there', 'not/there'],
  ])('of %s is its path, whether it exists or not', (path, real) => {
    expect(addressOf(join(root, path))).toEqual({ host: 'file', path: join(root, real, '/') })
  })

  it.each([
    ['absolute', () => join(root, 'a')],
    ['relative', () => 'a'],
    ['through its parent', () => `../${root.split('/').at(-1)}/a/.`],
  ])('follows a link that is %s, even to a target that does not exist yet', async (_, target) => {
    await symlink(target(), join(root, 'link'))
    expect(addressOf(join(root, 'link')).path).toBe(join(root, 'a/'))
    expect(addressOf(join(root, 'link/b')).path).toBe(join(root, 'a/b/'))
    expect(addressOf(join(root, 'link/new/x')).path).toBe(join(root, 'a/new/x/'))
  })

  it('resolves .. in a link from where the link leads', async () => {
    await mkdir(join(root, 'c'))
    await symlink('a/b', join(root, 'link'))
    await symlink('link/../../c', join(root, 'up'))
    expect(addressOf(join(root, 'up')).path).toBe(join(root, 'c/'))
  })

  it('of links that form a loop is still a path', async () => {
    await symlink('two', join(root, 'one'))
    await symlink('one', join(root, 'two'))
    expect(addressOf(join(root, 'one')).path).toMatch(/(one|two)\/$/)
  })

  it('of the whole machine is /', () => {
    expect(addressOf('/')).toEqual({ host: 'file', path: '/' })
  })

  it('looks at nothing below the mount point of a network file system, which may be away', async () => {
    await symlink('b', join(root, 'a/link'))
    const escaped = join(root, 'a').replaceAll('-', '\\055')
    const line = `36 35 0:42 / ${escaped} rw,noatime shared:1 - nfs4 server:/export rw,vers=4.2\n`
    vi.spyOn(fs, 'readFileSync').mockReturnValue(line)
    const looks = vi.spyOn(fs, 'lstatSync')
    expect(addressOf(join(root, 'a/link/x')).path).toBe(join(root, 'a/link/x/'))
    expect(looks.mock.calls.map(([path]) => path)).not.toContain(join(root, 'a'))
  })
})
