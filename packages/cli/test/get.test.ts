import { once } from 'node:events'
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { describe, expect, it } from 'vitest'
import { fill, place } from './place.ts'

describe.concurrent('get', () => {
  it('writes a new file with the last part of the key, and refuses one that is there: 7', async () => {
    await using at = await place()
    await fill(at, { 'p/x.txt': 'content' })
    expect(await at.stored('get', 'p/x.txt')).toMatchObject({ code: 0 })
    expect(await readFile(path.join(at.path, 'x.txt'), 'utf8')).toBe('content')
    await writeFile(path.join(at.path, 'x.txt'), 'mine')
    expect(await at.stored('get', 'p/x.txt')).toMatchObject({ code: 7 })
    expect(await readFile(path.join(at.path, 'x.txt'), 'utf8')).toBe('mine')
  })

  it('-o replaces a file, writes into a directory, and keeps a link a link', async () => {
    await using at = await place()
    await fill(at, { 'p/x.txt': 'content' })
    await at.file('target', 'old')
    await symlink('target', path.join(at.path, 'link'))
    await mkdir(path.join(at.path, 'dir'))
    for (const target of ['link', 'dir'])
      expect(await at.stored('get', 'p/x.txt', '-o', target)).toMatchObject({ code: 0 })
    for (const file of ['target', 'link', 'dir/x.txt'])
      expect(await readFile(path.join(at.path, file), 'utf8')).toBe('content')
  })

  it('--json tells the file and its size', async () => {
    await using at = await place()
    await fill(at, { x: 'content' })
    expect((await at.json('get', 'x', '-o', 'y')).records).toMatchObject([
      { type: 'get', name: 'x', file: path.join(at.path, 'y'), size: 7 },
      { type: 'summary', command: 'get', exit: 0, bytes: 7 },
    ])
  })

  it('into a directory that is not there: 4, and its name', async () => {
    await using at = await place()
    await fill(at, { x: 'x' })
    const { code, stderr } = await at.stored('get', 'x', '-o', 'gone/x')
    expect(code).toBe(4)
    expect(stderr).toContain("gone'\n")
  })

  it('an unknown key: 4, and no file', async () => {
    await using at = await place()
    expect(await at.stored('get', 'gone', '-o', 'y')).toMatchObject({ code: 4 })
    expect(await readdir(at.path)).not.toContain('y')
  })

  it('wrong bytes: 8, the file that was there is kept, and nothing is left behind', async () => {
    await using at = await place()
    await fill(at, { x: 'content' })
    await at.file('a/x', 'garbage')
    await at.file('y', 'old')
    expect(await at.stored('get', 'x', '-o', 'y')).toMatchObject({ code: 8 })
    expect(await readFile(path.join(at.path, 'y'), 'utf8')).toBe('old')
    expect((await readdir(at.path)).sort()).toEqual(['.stored', 'a', 'b', 'stored.config.json', 'y'])
    expect(await at.stored('get', 'x', '-o', 'y', '--fallback')).toMatchObject({ code: 0 })
    expect(await readFile(path.join(at.path, 'y'), 'utf8')).toBe('content')
  })

  it('--backend reads that copy', async () => {
    await using at = await place()
    await fill(at, { x: 'content' })
    await at.file('b/x', 'garbage')
    expect(await at.stored('get', 'x', '-o', 'y', '--backend', 'b')).toMatchObject({ code: 8 })
    expect(await at.stored('get', 'x', '-o', 'y', '--backend', 'c')).toMatchObject({ code: 2 })
  })
})

describe.concurrent('cat', () => {
  it.each([
    ['2-4', 'cde'],
    ['5-', 'fg'],
    ['-3', 'efg'],
    ['0-99', 'abcdefg'],
  ])('--range %s of seven bytes', async (range, expected) => {
    await using at = await place()
    await fill(at, { x: 'abcdefg' })
    for (const verify of [[], ['--verify']])
      expect(await at.stored('cat', 'x', '--range', range, ...verify)).toEqual({
        code: 0,
        stdout: expected,
        stderr: '',
      })
  })

  it.each(['7-9', '3-2', 'x', '-'])('--range %s is a usage error', async (range) => {
    await using at = await place()
    await fill(at, { x: 'abcdefg' })
    expect(await at.stored('cat', 'x', `--range=${range}`)).toMatchObject({ code: 2, stdout: '' })
  })

  it('--json leaves stdout to the bytes', async () => {
    await using at = await place()
    await fill(at, { x: 'content' })
    const { code, stdout, stderr } = await at.stored('get', 'x', '-o', '-', '--json')
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'content' })
    expect(
      stderr
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toMatchObject([
      { type: 'get', file: '-' },
      { type: 'summary', exit: 0 },
    ])
  })

  it('an unknown key: 4, and not a byte', async () => {
    await using at = await place()
    expect(await at.stored('cat', 'gone')).toMatchObject({ code: 4, stdout: '' })
  })

  it('a reader that goes away ends it without a word', async () => {
    await using at = await place()
    await fill(at, { x: 'x'.repeat(4_000_000) })
    const child = at.start('cat', 'x')
    child.stdout.once('data', () => child.stdout.destroy())
    const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, 'close')])
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' })
  })
})
