import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { emptyPlace, type Place } from './place.ts'

const HELLO = 'sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03'

describe('stored, from the first command to the last', () => {
  let place: Place
  beforeAll(async () => {
    place = await emptyPlace()
    await place.file('photos/hello.txt', 'hello\n')
    await place.file('photos/deep/er/world.txt', 'world\n')
  })
  afterAll(() => place[Symbol.asyncDispose]())

  it('init makes a configuration and a store', async () => {
    const { code, stdout } = await place.stored('init', '--yes')
    expect(code).toBe(0)
    expect(stdout).toContain('stored.config.json')
    expect(await readFile(path.join(place.path, 'stored.config.json'), 'utf8')).toContain('"driver": "fs"')
  })

  it('backend add adds a second backend, and keeps the comments of the file', async () => {
    expect(await place.stored('backend', 'add', 'mirror', 'fs', 'root=mirror')).toMatchObject({ code: 0 })
    expect(await readFile(path.join(place.path, 'stored.config.json'), 'utf8')).toContain('// ')
  })

  it('put -r stores a directory on both, and has synced it when it ends', async () => {
    const { code, records } = await place.json('put', '-r', 'photos', '--prefix', 'p')
    expect(code).toBe(0)
    expect(records).toMatchObject([
      { v: 1, type: 'put', key: 'p/deep/er/world.txt', isNew: true },
      { v: 1, type: 'put', key: 'p/hello.txt', id: HELLO, size: 6, backends: ['local', 'mirror'] },
      { v: 1, type: 'summary', command: 'put', exit: 0, done: 2, failed: 0, bytes: 12, isNew: 2 },
    ])
    for (const root of ['data', 'mirror'])
      expect(await readFile(path.join(place.path, root, 'p/hello.txt'), 'utf8')).toBe('hello\n')
  })

  it('ls, stat, whereis and status show it', async () => {
    expect((await place.stored('ls')).stdout).toBe('p/deep/er/world.txt\np/hello.txt\n')
    expect((await place.stored('stat', 'p/hello.txt')).stdout).toContain(HELLO)
    expect((await place.stored('whereis', 'p/')).stdout).toMatch(/6 B +synced +synced +p\/hello\.txt\n$/)
    expect((await place.json('status')).records).toMatchObject([
      { type: 'status', syncing: 'nowhere', degraded: null },
      { type: 'backend', name: 'local', jobs: { waiting: 0, running: 0, parked: 0 } },
      { type: 'backend', name: 'mirror' },
      { type: 'summary', jobs: 0, parked: 0 },
    ])
  })

  it('get writes the bytes', async () => {
    expect(await place.stored('get', HELLO, '-o', 'copy.txt')).toMatchObject({ code: 0 })
    expect(await readFile(path.join(place.path, 'copy.txt'), 'utf8')).toBe('hello\n')
  })

  it('put --no-wait leaves jobs, queue shows them, sync --until-idle runs them', async () => {
    await place.file('later.txt', 'later\n')
    expect(await place.stored('put', 'later.txt', '--no-wait')).toMatchObject({ code: 0 })
    expect((await place.json('queue', 'ls')).records).toMatchObject([
      { type: 'job', op: 'put', key: 'later.txt', state: 'waiting' },
      { type: 'job', op: 'put', key: 'later.txt', state: 'waiting' },
      { type: 'summary', jobs: 2 },
    ])
    expect((await place.json('sync', '--until-idle')).records).toMatchObject([{ type: 'summary', exit: 0, synced: 2 }])
    expect((await place.json('queue', 'show')).records.at(-1)).toMatchObject({ waiting: 0, running: 0, parked: 0 })
  })

  it('rm removes it from the store and from both backends', async () => {
    expect(await place.stored('rm', '-r', 'p', 'later.txt')).toMatchObject({ code: 0 })
    expect((await place.stored('ls')).stdout).toBe('')
    await expect(readFile(path.join(place.path, 'mirror/p/hello.txt'))).rejects.toMatchObject({ code: 'ENOENT' })
  })
})
