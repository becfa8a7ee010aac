import { readdir, readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import type { OutputRecord } from '@stored/cli'
import { describe, expect, it } from 'vitest'
import { fill, place } from './place.ts'
import { ended, recordsOf } from './run.ts'

describe.concurrent('rm', () => {
  it('removes keys, and their objects on the backends', async () => {
    await using at = await place()
    await fill(at, { x: 'x', y: 'y' })
    expect(await at.stored('rm', 'x')).toMatchObject({ code: 0, stdout: 'removed x\n', stderr: '' })
    expect((await at.stored('ls')).stdout).toBe('y\n')
    expect(await readdir(path.join(at.path, 'a'))).toEqual(['.stored', 'y'])
  })

  it('--json; an unknown key: 4; beside a known one: 3', async () => {
    await using at = await place()
    await fill(at, { x: 'x' })
    expect(await at.stored('rm', 'gone')).toMatchObject({ code: 4 })
    const { code, records } = await at.json('rm', 'gone', 'x')
    expect(code).toBe(3)
    expect(records).toMatchObject([
      { type: 'error', code: 'NOT_FOUND', subject: 'gone' },
      { type: 'delete', name: 'x', deleted: ['x'], pending: ['a', 'b'] },
      { type: 'summary', done: 1, failed: 1 },
    ])
  })

  it('-n names only the objects of that key, each once, if the blob has another key', async () => {
    await using at = await place()
    await fill(at, { x: 'same', y: 'same' })
    const { records } = await at.json('rm', 'x', '-n')
    expect(records[0]).toMatchObject({ type: 'plan', action: 'rm', name: 'x', from: ['a', 'b'] })
    expect((await at.stored('ls')).stdout).toBe('x\ny\n')
  })

  it('-n of an id names all its keys, however many', async () => {
    await using at = await place()
    const keys = Array.from({ length: 101 }, (_, i) => `k${String(i).padStart(3, '0')}`)
    await fill(at, Object.fromEntries(keys.map((key) => [key, 'same'])))
    const { id } = await at.open(async (store) => store.put(Buffer.from('same'), { key: 'k000' }))
    expect((await at.json('rm', id, '-n')).records[0]).toMatchObject({ name: id, deleted: keys, from: ['a', 'b'] })
    expect((await at.stored('rm', id, '-n')).stdout).toBe(`would remove ${id} and its 101 keys from a, b\n`)
    expect((await at.stored('ls')).stdout.split('\n')).toHaveLength(102)
  })

  it('-r removes what is below, and nothing beside it', async () => {
    await using at = await place()
    await fill(at, { 'p/x': 'x', 'p/y/z': 'z', 'p.txt': 'p', pp: 'pp' })
    expect((await at.json('rm', '-r', 'p', '-n')).records.at(-1)).toMatchObject({ dryRun: true, done: 2 })
    expect(await at.stored('rm', '-r', 'p')).toMatchObject({ code: 0 })
    expect((await at.stored('ls')).stdout).toBe('p.txt\npp\n')
  })

  it('without -r mentions that flag if there are keys below', async () => {
    await using at = await place()
    await fill(at, { 'p/x': 'x' })
    expect(await at.stored('rm', 'p')).toMatchObject({ code: 4, stderr: expect.stringContaining('-r removes') })
    expect((await at.stored('rm', 'x')).stderr).not.toContain('-r')
    expect((await at.stored('rm', '-r', 'x')).stderr).not.toContain('-r removes')
    expect((await at.stored('ls')).stdout).toBe('p/x\n')
  })

  it('-r accepts a trailing slash, as shell completion leaves it', async () => {
    await using at = await place()
    await fill(at, { 'p/a': 'a', 'p/b': 'b', p2: 'c' })
    expect((await at.json('rm', '-r', 'p/')).records.at(-1)).toMatchObject({ exit: 0, done: 2 })
    expect((await at.json('ls')).records).toMatchObject([{ key: 'p2' }, { type: 'summary' }])
    expect(await at.stored('rm', '-r', 'p/')).toMatchObject({ code: 4 })
  })

  it('--backend drops copies there, but never the last one: 7', async () => {
    await using at = await place()
    await fill(at, { x: 'x' })
    expect(await at.stored('rm', 'x', '--backend', 'b')).toMatchObject({ code: 0 })
    expect(await readdir(path.join(at.path, 'b'))).toEqual(['.stored'])
    expect(await at.stored('rm', 'x', '--backend', 'a')).toMatchObject({ code: 7 })
    expect(await readFile(path.join(at.path, 'a/x'), 'utf8')).toBe('x')
  })
})

describe.concurrent('rm -n', () => {
  it('refuses to drop the last copy, as rm does: 7', async () => {
    await using at = await place()
    await fill(at, { x: 'x' })
    const both = ['--backend', 'a', '--backend', 'b']
    expect(await at.stored('rm', 'x', ...both, '-n')).toMatchObject({ code: 7, stdout: '' })
    expect((await at.stored('rm', 'x', '--backend', 'a', '-n')).stdout).toBe('would remove x from a\n')
    expect((await at.json('whereis', 'x')).records[0]).toMatchObject({ copies: { a: 'synced', b: 'synced' } })
  })
})

describe.concurrent('copies', () => {
  it('lists keys with too few copies, and --fix makes the rest', async () => {
    await using at = await place()
    await at.open(async (store) => {
      await store.put(Buffer.from('one'), { key: 'one', backends: ['b'] })
      await store.put(Buffer.from('two'), { key: 'two' })
      await store.synced()
    })
    expect(await at.stored('copies')).toMatchObject({ code: 9, stdout: expect.stringMatching(/^1 of 2 .* one\n$/) })
    expect(await at.stored('copies', '--want', '1')).toMatchObject({ code: 0, stdout: '' })
    expect((await at.json('copies', '--fix', '-n')).records).toMatchObject([
      { type: 'copies', key: 'one', have: 1, want: 2, fix: ['a'] },
      { type: 'summary', dryRun: true, exit: 0, short: 1, fixed: 0, left: 0 },
    ])
    expect(await at.stored('copies', '--fix')).toMatchObject({ code: 0 })
    expect(await readFile(path.join(at.path, 'a/one'), 'utf8')).toBe('one')
    expect((await at.json('copies')).records).toMatchObject([{ type: 'summary', short: 0 }])
  })

  it('more copies than there are backends: 2', async () => {
    await using at = await place()
    expect(await at.stored('copies', '--want', '3')).toMatchObject({ code: 2 })
    expect(await at.stored('copies', '--want', '0')).toMatchObject({ code: 2 })
  })
})

describe.concurrent('queue', () => {
  it('ls and show list jobs; an unknown backend: 2', async () => {
    await using at = await place()
    await at.file('x', 'x')
    await at.stored('put', 'x', '--no-wait')
    expect((await at.stored('queue', 'ls', 'a')).stdout).toMatch(/^backend .*\na +put +waiting +0 .* x\n$/)
    expect((await at.json('queue', 'ls', '--limit', '1')).records).toMatchObject([{ type: 'job' }, { jobs: 1 }])
    expect((await at.stored('queue', 'ls', '--state', 'parked')).stdout).toBe('')
    expect((await at.stored('queue', 'show', 'b')).stdout).toMatch(/^backend .*\nb +fs +waiting +1 /)
    expect((await at.json('queue', 'show')).records.at(-1)).toMatchObject({ waiting: 2, parked: 0 })
    for (const command of ['ls', 'show', 'retry', 'cancel', 'pause', 'resume'])
      expect(await at.stored('queue', command, 'c'), command).toMatchObject({ code: 2 })
    expect(await at.stored('queue', 'ls', '--state', 'odd')).toMatchObject({ code: 2 })
  })

  it('retry puts parked jobs back and runs them', async () => {
    await using at = await place()
    await at.file('b/x', 'a stranger')
    await at.file('x', 'ours')
    await at.stored('put', 'x')
    expect((await at.json('queue', 'retry', '-n')).records).toMatchObject([
      { type: 'plan', action: 'retry', backend: 'b', key: 'x' },
      { type: 'summary', jobs: 1 },
    ])
    expect(await at.stored('queue', 'retry', 'b')).toMatchObject({ code: 3 })
    await rm(path.join(at.path, 'b/x'))
    expect((await at.json('queue', 'retry')).records).toMatchObject([{ type: 'summary', exit: 0, jobs: 1 }])
    expect(await readFile(path.join(at.path, 'b/x'), 'utf8')).toBe('ours')
  })

  it('cancel gives up a copy, and leaves alone what is in its place', async () => {
    await using at = await place()
    await at.file('b/x', 'a stranger')
    await at.file('x', 'ours')
    await at.stored('put', 'x')
    expect((await at.json('queue', 'cancel', 'b', '-n')).records[0]).toMatchObject({ type: 'plan', key: 'x' })
    expect(await at.stored('queue', 'cancel', 'b')).toMatchObject({ code: 0 })
    expect(await readFile(path.join(at.path, 'b/x'), 'utf8')).toBe('a stranger')
    expect((await at.json('queue', 'ls')).records).toMatchObject([{ jobs: 0 }])
    expect((await at.json('whereis', 'x')).records[0]).toMatchObject({ copies: { a: 'synced', b: null } })
  })

  it('cancel never gives up the only copy: 7', async () => {
    await using at = await place()
    await at.file('b/x', 'a stranger')
    await at.file('x', 'ours')
    await at.stored('put', 'x', '--backend', 'b')
    expect(await at.stored('queue', 'cancel', 'b', '-n')).toMatchObject({ code: 7, stdout: '' })
    expect(await at.stored('queue', 'cancel', 'b')).toMatchObject({ code: 7 })
    expect(await at.stored('cat', 'x')).toMatchObject({ code: 0, stdout: 'ours' })
  })

  it.each([['queue'], ['backend']])('%s pause holds jobs back, resume lets them run', async (group) => {
    await using at = await place()
    expect((await at.json(group, 'pause', 'b', '-n')).records[0]).toMatchObject({ type: 'plan', action: 'pause' })
    expect((await at.json(group, 'pause', 'b')).records[0]).toMatchObject({ name: 'b', state: 'paused' })
    expect(await at.stored(group, 'resume', 'b')).toMatchObject({ code: 0, stdout: 'resumed b\n' })
    expect((await at.json('backend', 'show', 'b')).records[0]).toMatchObject({ state: 'unknown' })
  })
})

describe.concurrent('verify', () => {
  it('healthy: 0; wrong bytes: 8, naming the copy', async () => {
    await using at = await place()
    await fill(at, { x: 'x', y: 'y' })
    expect(await at.stored('verify')).toMatchObject({ code: 0, stdout: '' })
    await at.file('b/x', 'z')
    const { code, records } = await at.json('verify', '--backend', 'b')
    expect(code).toBe(8)
    expect(records).toMatchObject([
      { type: 'verify', backend: 'b', key: 'x', state: 'unknown', checked: true },
      { type: 'verify', backend: 'b', key: 'y', state: 'synced' },
      { type: 'summary', exit: 8, checked: 2, bad: 1, unread: 0 },
    ])
    expect((await at.stored('verify', 'x')).stdout).toBe('unknown  b  x\n')
  })

  it('--sample reads a part, --resume says if there is nothing to resume', async () => {
    await using at = await place()
    expect(await at.stored('verify', '--sample', '5%')).toMatchObject({ code: 0 })
    for (const sample of ['5', '0%', '101%', 'x'])
      expect(await at.stored('verify', '--sample', sample)).toMatchObject({ code: 2 })
    expect(await at.stored('verify', '--backend', 'c')).toMatchObject({ code: 2 })
    expect((await at.stored('verify', '--resume')).stderr).toContain('from the beginning')
  })

  it('an interrupted run keeps its place, and --resume reads the rest and nothing twice', async () => {
    await using at = await place()
    await at.open(async (store) => {
      const put = (i: number) => store.put(Buffer.from(`${i}`), { key: `k${i}`, backends: ['a'] })
      await Promise.all(Array.from({ length: 800 }, (_, i) => put(i)))
      await store.synced()
    })
    const child = at.start('verify', '--backend', 'a', '--json')
    // The pending output exceeds a pipe's capacity when it is interrupted.
    child.stdout.once('data', () => child.kill('SIGINT'))
    const { code, stdout } = await ended(child)
    expect(code).toBe(130)
    const first = keysOf(recordsOf({ stdout }))
    const { records } = await at.json('verify', '--backend', 'a', '--resume')
    expect(records.at(-1)).toMatchObject({ exit: 0, checked: 800 - first.length })
    expect(new Set([...first, ...keysOf(records)]).size).toBe(800)
  })
})

function keysOf(records: readonly OutputRecord[]): unknown[] {
  return records.flatMap((record) => (record.type === 'verify' ? [record.key] : []))
}
