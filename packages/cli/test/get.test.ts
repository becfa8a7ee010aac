import { once } from 'node:events'
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { describe, expect, it } from 'vitest'
import { fill, place } from './place.ts'

describe.concurrent('get', () => {
  it('writes a new file named by the last part of the key, and refuses an existing one: 7', async () => {
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

  it('--json gives the file and its size', async () => {
    await using at = await place()
    await fill(at, { x: 'content' })
    expect((await at.json('get', 'x', '-o', 'y')).records).toMatchObject([
      { type: 'get', name: 'x', file: path.join(at.path, 'y'), size: 7 },
      { type: 'summary', command: 'get', exit: 0, bytes: 7 },
    ])
  })

  it('into a missing directory: 4, naming it', async () => {
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

  it('wrong bytes: 8, an existing file is kept, and nothing is left behind', async () => {
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

  const LONG = 'long '.repeat(60_000)
  const WRONG = 'wrong'.repeat(60_000)

  it('--fallback starts again with the next copy if the last bytes of a long one turn out wrong', async () => {
    await using at = await place()
    await fill(at, { x: LONG })
    await at.file('a/x', WRONG)
    expect(await at.stored('get', 'x', '-o', 'y', '--fallback')).toMatchObject({ code: 0, stdout: '' })
    expect(await readFile(path.join(at.path, 'y'), 'utf8')).toBe(LONG)
    expect((await readdir(at.path)).sort()).toEqual(['.stored', 'a', 'b', 'stored.config.json', 'y'])
  })

  it('--fallback reports what is wrong if no copy is intact: 8', async () => {
    await using at = await place()
    await fill(at, { x: LONG })
    for (const file of ['a/x', 'b/x']) await at.file(file, WRONG)
    const { code, stderr } = await at.stored('get', 'x', '-o', 'y', '--fallback')
    expect({ code, stderr }).toEqual({ code: 8, stderr: expect.stringContaining('a get "x": CHECKSUM_MISMATCH') })
  })

  it('--backend twice reads the first copy, and the second if that one is bad; a pipe keeps what was already written', async () => {
    await using at = await place()
    await fill(at, { x: LONG })
    await at.file('b/x', WRONG)
    await at.stored('verify')
    const both = ['--backend', 'b', '--backend', 'a']
    expect(await at.stored('get', 'x', '-o', 'y', ...both)).toMatchObject({ code: 0 })
    expect(await readFile(path.join(at.path, 'y'), 'utf8')).toBe(LONG)
    await at.stored('repair', 'x')
    await at.file('b/x', WRONG)
    expect(await at.stored('cat', 'x', ...both)).toMatchObject({ code: 8, stdout: expect.not.stringContaining('long') })
    expect(await at.stored('cat', 'x', ...both)).toMatchObject({ code: 0, stdout: LONG })
  })

  it('copies --fix makes the copy from the next one if the first turns out wrong', async () => {
    await using at = await place()
    const root = (name: string) => ({ driver: 'fs', root: name })
    const backends = { a: root('a'), b: root('b'), c: root('c') }
    await fill(at, { x: LONG })
    await at.file('stored.config.json', JSON.stringify({ path: '.stored', backends }))
    await at.file('a/x', WRONG)
    expect(await at.stored('copies', '--want', '3', '--fix')).toMatchObject({
      stderr: expect.not.stringContaining('stored:'),
    })
    expect(await readFile(path.join(at.path, 'c', 'x'), 'utf8')).toBe(LONG)
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

  it('an unknown key: 4, and no bytes', async () => {
    await using at = await place()
    expect(await at.stored('cat', 'gone')).toMatchObject({ code: 4, stdout: '' })
  })

  it('ends silently if the reader goes away', async () => {
    await using at = await place()
    await fill(at, { x: 'x'.repeat(4_000_000) })
    const child = at.start('cat', 'x')
    child.stdout.once('data', () => child.stdout.destroy())
    const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, 'close')])
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' })
  })
})
