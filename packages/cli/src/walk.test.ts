import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { compareKeys } from '@stored/core/backend'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { walk } from './walk.ts'

let root: string
beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'stored-walk-'))
})
afterEach(() => rm(root, { recursive: true }))

async function found(isOurs: (directory: string) => boolean = () => false) {
  return Array.fromAsync(walk(root, isOurs))
}

describe('walk()', () => {
  it('yields files in the order of their keys', async () => {
    const names = ['a', 'a.b', 'a/b', 'a-b/c', 'a/\u{1f600}', 'a/\uff5e', 'B/x/y/z'].filter((name) => name !== 'a')
    for (const name of names) {
      await mkdir(path.dirname(path.join(root, name)), { recursive: true })
      await writeFile(path.join(root, name), name)
    }
    const keys = (await found()).map(({ name }) => name)
    expect(keys).toEqual([...names].sort(compareKeys))
  })

  it('tells of what is no file, and follows no link', async () => {
    await mkdir(path.join(root, 'd'))
    await symlink('d', path.join(root, 'link'))
    await symlink('nowhere', path.join(root, 'broken'))
    await using server = createServer().listen(path.join(root, 'socket'))
    await new Promise((resolve) => server.once('listening', resolve))
    expect((await found()).map(({ name, why }) => [name, why])).toEqual([
      ['broken', 'a symbolic link'],
      ['link', 'a symbolic link'],
      ['socket', 'no regular file'],
    ])
  })

  it('tells of a directory that cannot be read, and of a name that is no UTF-8', async () => {
    await writeFile(Buffer.concat([Buffer.from(`${root}/`), Buffer.of(0xff, 0x61)]), 'x')
    expect(await found()).toMatchObject([{ why: 'its name is not UTF-8', cause: { code: 'ENOENT' } }])
    await rm(root, { recursive: true })
    expect(await found()).toMatchObject([{ file: root, name: '', why: 'cannot be read', cause: { code: 'ENOENT' } }])
    await mkdir(root)
  })

  it('leaves out what is ours, and says so', async () => {
    await mkdir(path.join(root, 'ours'))
    await writeFile(path.join(root, 'ours/x'), '')
    expect(await found((directory) => directory === path.join(root, 'ours'))).toMatchObject([
      { name: 'ours', isOwn: true },
    ])
  })
})
