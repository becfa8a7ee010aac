import { mkdir, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { ALGORITHMS } from '@stored/core'
import { describe, expect, it } from 'vitest'
import { fill, place } from './place.ts'
import { ended } from './run.ts'

describe.concurrent('put', () => {
  it('stores a file under its name, and prints its id', async () => {
    await using at = await place()
    await at.file('dir/hello.txt', 'hello\n')
    const meta = ['--meta', 'by=me', '--meta', '__proto__=mine']
    const { code, stdout, stderr } = await at.stored('put', 'dir/hello.txt', ...meta)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toBe('sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03  hello.txt\n')
    await at.open(async (store) => {
      expect(await store.stat('hello.txt')).toMatchObject({ mimeType: 'text/plain' })
      expect(Object.entries((await store.stat('hello.txt'))?.custom ?? {})).toEqual([
        ['by', 'me'],
        ['__proto__', 'mine'],
      ])
    })
  })

  it('- stores stdin, under --key or its checksum', async () => {
    await using at = await place()
    expect(await at.run(['put', '-', '--key', 'in'], { input: 'bytes' })).toMatchObject({ code: 0 })
    const { stdout } = await at.run(['put', '-'], { input: 'bytes' })
    expect(stdout).toMatch(/ {2}blobs\/sha256\//)
    await at.open(async (store) => expect((await store.get('in')).toString()).toBe('bytes'))
  })

  it('stores the whole of a file whose reported size is meaningless', async () => {
    await using at = await place()
    expect(await at.stored('put', '/proc/version', '--key', 'version')).toMatchObject({ code: 0 })
    await at.open(async (store) => expect((await store.get('version')).toString()).toMatch(/^Linux version /))
  })

  it('--backend chooses where copies go', async () => {
    await using at = await place()
    await at.file('x', 'x')
    expect((await at.json('put', 'x', '--backend', 'b')).records[0]).toMatchObject({ backends: ['b'] })
  })

  it('--checksum records others beside SHA-256, as stat shows', async () => {
    await using at = await place()
    await at.file('digits', '123456789')
    const flags = ALGORITHMS.flatMap((name) => ['--checksum', name])
    const { records } = await at.json('put', 'digits', ...flags)
    expect(records[0]).toMatchObject({ checksums: { crc32c: 'e3069283', crc64nvme: 'ae8b14860a799888' } })
    expect((await at.stored('stat', 'digits')).stdout).toMatch(/^crc32c +e3069283$/m)
  })

  it('a missing file: 4; beside an existing one: 3, which is stored', async () => {
    await using at = await place()
    await at.file('x', 'x')
    expect((await at.json('put', 'gone')).records).toMatchObject([
      { type: 'error', code: 'NOT_FOUND', subject: 'gone' },
      { type: 'summary', exit: 4, done: 0, failed: 1 },
    ])
    const { code, records } = await at.json('put', 'gone', 'x')
    expect(code).toBe(3)
    expect(records.map(({ type }) => type)).toEqual(['error', 'put', 'summary'])
  })

  it.each([
    [['put', 'a', 'b', '--key', 'k'], '--key takes one source'],
    [['put', '.'], '-r stores its files'],
    [['put', 'a', '--meta', 'secret'], '--meta takes name=value'],
    [['put', 'a', '--checksum', 'sha512'], '--checksum takes sha256, sha1, md5, crc32, crc32c, crc64nvme or xxh3'],
    [['put', 'x/a', 'y/a'], 'two sources would have the key "a"'],
    [['put', '-', '--prefix', 'p'], 'use --key for stdin'],
    [['put', '-', '-'], 'stdin can be read once'],
  ])('%j is a usage error', async (args, why) => {
    await using at = await place()
    expect(await at.stored(...args)).toMatchObject({ code: 2, stderr: expect.stringContaining(why) })
  })

  it('-r stores the files of a directory in the order of their keys, and reports what it skips: 3', async () => {
    await using at = await place()
    for (const name of ['b', 'a/z', 'a/deep/y', 'a.txt']) await at.file(`src/${name}`, name)
    await symlink('a.txt', path.join(at.path, 'src/link'))
    const { code, records } = await at.json('put', '-r', 'src')
    expect(code).toBe(3)
    expect(records).toMatchObject([
      { type: 'put', key: 'a.txt' },
      { type: 'put', key: 'a/deep/y' },
      { type: 'put', key: 'a/z' },
      { type: 'put', key: 'b' },
      { type: 'error', code: 'SKIPPED', message: 'skipped: a symbolic link', subject: 'src/link' },
      { type: 'summary', exit: 3, done: 4, failed: 1 },
    ])
  })

  it('-r of a directory that holds the store leaves out the store and its backends', async () => {
    await using at = await place()
    await fill(at, { kept: 'kept' })
    await at.file('x', 'x')
    const { code, records } = await at.json('put', '-r', '.')
    expect(code).toBe(0)
    expect(records.filter(({ type }) => type === 'put')).toMatchObject([{ key: 'stored.config.json' }, { key: 'x' }])
  })

  it('-r stores a file called - like any other; only the argument - means stdin', async () => {
    await using at = await place()
    await at.file('src/-', 'the file')
    const cwd = path.join(at.path, 'src')
    for (const directory of ['.', './'])
      expect(
        await at.run(['put', '-r', directory, '--config', '../stored.config.json'], { cwd, input: 'stdin' }),
      ).toMatchObject({ code: 0 })
    expect(await at.run(['put', './src/-', '--prefix', 'p'], { input: 'stdin' })).toMatchObject({ code: 0 })
    expect(await at.run(['put', './src/-', '-'], { input: 'stdin' })).toMatchObject({ code: 0 })
    await at.open(async (store) => {
      expect((await store.get('-')).toString()).toBe('the file')
      expect((await store.get('p/-')).toString()).toBe('the file')
    })
  })

  it('-r stores files under their names even if those have a meaning elsewhere', async () => {
    await using at = await place()
    const names = ['--key', '-r', '@x', 'a*', 'file:x', 'http:', '~', '~root'].sort()
    for (const name of names) await at.file(`src/${name}`, name)
    expect(await at.stored('put', '-r', 'src')).toMatchObject({ code: 0 })
    await at.open(async (store) => {
      expect(await Array.fromAsync(store.list(), ({ key }) => key)).toEqual(names)
      for (const name of names) expect((await store.get(name)).toString()).toBe(name)
    })
  })

  it('-r reports names that are not UTF-8, stores the files beside them, and exits with 3', async () => {
    await using at = await place()
    await at.file('src/\ufffd', 'twin')
    const below = (...bytes: number[]) => Buffer.concat([Buffer.from(path.join(at.path, 'src/')), Buffer.of(...bytes)])
    await writeFile(below(0xff), 'foreign')
    await mkdir(below(0x64, 0xff))
    const { code, records } = await at.json('put', '-r', 'src')
    expect(code).toBe(3)
    const message = 'skipped: its name is not valid UTF-8'
    expect(records).toMatchObject([
      { type: 'error', code: 'SKIPPED', message, subject: 'src/d\\xff' },
      { type: 'error', code: 'SKIPPED', message, subject: 'src/\\xff' },
      { type: 'put', key: '\ufffd' },
      { type: 'summary', exit: 3, done: 1, failed: 2 },
    ])
    await at.open(async (store) => expect((await store.get('\ufffd')).toString()).toBe('twin'))
  })

  it('--if-absent refuses a key that is taken: 7', async () => {
    await using at = await place()
    await fill(at, { x: 'old' })
    await at.file('x', 'new')
    expect(await at.stored('put', 'x', '--if-absent')).toMatchObject({ code: 7 })
    await at.open(async (store) => expect((await store.get('x')).toString()).toBe('old'))
  })

  it('--meta with an empty value removes a field, --replace-meta all that are not named', async () => {
    await using at = await place()
    await at.file('x', 'same')
    const fields = () => at.open(async (store) => (await store.stat('x'))?.custom)
    await at.stored('put', 'x', '--meta', 'a=1', '--meta', 'b=2')
    expect(await fields()).toEqual({ a: '1', b: '2' })
    expect(await at.stored('put', 'x', '--meta', 'a=', '--meta', 'c=3')).toMatchObject({ code: 0 })
    expect(await fields()).toEqual({ b: '2', c: '3' })
    expect(await at.stored('put', 'x', '--replace-meta', '--meta', 'd=4')).toMatchObject({ code: 0 })
    expect(await fields()).toEqual({ d: '4' })
    expect(await at.stored('put', 'x', '--replace-meta')).toMatchObject({ code: 0 })
    expect(await fields()).toEqual({})
  })

  it('--if-match takes an id or a version, and refuses a key that has another: 7', async () => {
    await using at = await place()
    await fill(at, { x: 'old' })
    const seen = () => at.open((store) => store.stat('x'))
    const old = await seen()
    await at.file('x', 'new')
    expect(await at.stored('put', 'x', '--if-match', String(old?.version))).toMatchObject({ code: 0 })
    for (const stale of [old?.id, old?.version])
      expect(await at.stored('put', 'x', '--if-match', String(stale))).toMatchObject({ code: 7 })
    expect(await at.stored('put', 'x', '--if-match', String((await seen())?.id))).toMatchObject({ code: 0 })
  })

  it('--dry-run says what would be done, and does nothing', async () => {
    await using at = await place()
    await fill(at, { x: 'old' })
    await at.file('x', 'new')
    const { code, records } = await at.json('put', 'x', '-n')
    expect(code).toBe(0)
    expect(records).toMatchObject([
      {
        type: 'plan',
        action: 'put',
        key: 'x',
        size: 3,
        replaces: expect.stringMatching(/^sha256:/),
        backends: ['a', 'b'],
      },
      { type: 'summary', dryRun: true, done: 1 },
    ])
    await at.open(async (store) => expect((await store.get('x')).toString()).toBe('old'))
  })

  it('an object of someone else in the place of a copy: 3, and the object is kept', async () => {
    await using at = await place()
    await at.file('b/x', 'a stranger')
    await at.file('x', 'ours')
    const { code, records } = await at.json('put', 'x')
    expect(code).toBe(3)
    expect(records).toMatchObject([
      { type: 'put' },
      { type: 'error', code: 'ALREADY_EXISTS', subject: 'x' },
      { exit: 3 },
    ])
    expect((await at.json('whereis', 'x')).records[0]).toMatchObject({ copies: { a: 'synced', b: 'conflict' } })
  })

  it('waits for the pending copies of an earlier put', async () => {
    await using at = await place()
    await at.file('x', Buffer.alloc(20_000_000, 'x'))
    await at.stored('put', 'x', '--no-wait')
    expect(await at.stored('put', 'x')).toMatchObject({ code: 0 })
    expect(
      (await at.json('events')).records.filter(
        (record) => record.type === 'event' && record.event.type === 'sync:complete',
      ),
    ).toHaveLength(2)
  })

  it('does not wait for a paused backend', async () => {
    await using at = await place()
    await at.open((store) => store.pause('b'))
    await at.file('x', 'x')
    expect(await at.stored('put', 'x')).toMatchObject({
      code: 0,
      stderr: expect.stringContaining('b is paused: 1 job left'),
    })
  })

  it('SIGINT ends it: 130, nothing stored, and the store can be used at once', async () => {
    await using at = await place()
    const child = at.start('put', '-', '--key', 'k', '--json', '-v')
    child.stdin.write('half of it')
    // It reads stdin only after the store is open.
    await new Promise((resolve) => child.stdin.once('drain', resolve).write(Buffer.alloc(4_000_000)))
    child.kill('SIGINT')
    const { code, stdout } = await ended(child)
    expect(code).toBe(130)
    expect(stdout).toContain('"code":"ABORTED"')
    expect(await at.stored('has', 'k')).toMatchObject({ code: 1 })
  })

  it('-r of nothing: 0', async () => {
    await using at = await place()
    await mkdir(path.join(at.path, 'empty'))
    expect((await at.json('put', '-r', 'empty')).records).toMatchObject([{ type: 'summary', exit: 0, done: 0 }])
  })
})
