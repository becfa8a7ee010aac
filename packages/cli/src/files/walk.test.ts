import { mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import path from 'node:path'
import { compareKeys } from '@stored/core/backend'
import { testDirectory } from '@stored/testing/directory'
import { beforeEach, describe, expect, it } from 'vitest'
import { walk } from './walk.ts'

let root: string
beforeEach(async () => {
  root = await testDirectory()
})

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

  it('reports what is not a regular file, and follows no link', async () => {
    await mkdir(path.join(root, 'd'))
    await symlink('d', path.join(root, 'link'))
    await symlink('nowhere', path.join(root, 'broken'))
    await using server = createServer().listen(path.join(root, 'socket'))
    await new Promise((resolve) => server.once('listening', resolve))
    expect((await found()).map(({ name, why }) => [name, why])).toEqual([
      ['broken', 'a symbolic link'],
      ['link', 'a symbolic link'],
      ['socket', 'not a regular file'],
    ])
  })

  it('reports each name that is not UTF-8 by its bytes, and never confuses it with the file whose name decodes to the same text', async () => {
    const below = (...bytes: number[]) => Buffer.concat([Buffer.from(`${root}/`), Buffer.of(...bytes)])
    await writeFile(below(0xff, 0x61), 'foreign')
    await writeFile(below(0xfe, 0x61), 'foreign')
    await mkdir(below(0xff))
    await writeFile(below(0xff, 0x2f, 0x61), 'inside')
    const why = 'its name is not valid UTF-8'
    const foreign = [
      { name: '\\xfea', file: `${root}/\\xfea`, why },
      { name: '\\xffa', file: `${root}/\\xffa`, why },
    ]
    const directory = { name: '\\xff', file: `${root}/\\xff`, why }
    expect(await found()).toEqual([directory, ...foreign])
    await writeFile(path.join(root, '\ufffda'), 'twin')
    const twin = { name: '\ufffda', file: path.join(root, '\ufffda'), size: 4 }
    expect(await found()).toEqual([directory, ...foreign, twin])
    await mkdir(path.join(root, '\ufffd'))
    await writeFile(path.join(root, '\ufffd/a'), 'twin')
    expect((await found()).filter(({ why }) => why === undefined).map(({ name }) => name)).toEqual([
      '\ufffd/a',
      '\ufffda',
    ])
  })

  it('reports a directory that cannot be read', async () => {
    await rm(root, { recursive: true })
    expect(await found()).toMatchObject([{ file: root, name: '', why: 'cannot be read', cause: { code: 'ENOENT' } }])
    await mkdir(root)
  })

  it('leaves out our own files, and says so', async () => {
    await mkdir(path.join(root, 'ours'))
    await writeFile(path.join(root, 'ours/x'), '')
    expect(await found((directory) => directory === path.join(root, 'ours'))).toMatchObject([
      { name: 'ours', isOwn: true },
    ])
  })
})
