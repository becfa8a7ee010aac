import { mkdir, open, readdir, rm, stat, truncate } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { type Place, place } from './place.ts'

const LARGE = 'large '.repeat(20_000)
const KEY = 'blobs/sha256/'

/** A place whose store owes a large file and has lost its index. */
async function lost(): Promise<Place> {
  const at = await place()
  await at.file('large.txt', LARGE)
  await at.stored('put', 'large.txt', '--no-wait')
  await rm(path.join(at.path, '.stored/index.mdb'))
  return at
}

describe.concurrent('a store that lost its index, with bytes staged', () => {
  it.each([['ls'], ['status'], ['put', 'large.txt'], ['sync', '--until-idle'], ['init'], ['verify']])(
    '%s: 8, says what to do, and removes nothing',
    async (...command) => {
      await using at = await lost()
      const { code, stderr } = await at.stored(...command)
      expect(code).toBe(8)
      expect(stderr).toContain('stored init --recover')
      expect((await readdir(path.join(at.path, '.stored/staging'))).filter((name) => /^\d/.test(name))).toHaveLength(1)
    },
  )

  it('init: the same after another command made a new index', async () => {
    await using at = await lost()
    await at.stored('ls')
    expect(await at.stored('init')).toMatchObject({ code: 8, stdout: '' })
  })

  it('doctor names it: 8', async () => {
    await using at = await lost()
    const { code, stdout } = await at.stored('doctor')
    expect(stdout).toMatch(/^failed +store: .*stored init --recover/m)
    expect(code).toBe(8)
  })

  it('init --recover makes a store from the staged files; -n only says so; sync copies them to the backend', async () => {
    await using at = await lost()
    expect((await at.json('init', '--recover', '-n')).records).toMatchObject([
      { type: 'plan', action: 'recover' },
      { type: 'summary', exit: 0, files: 1 },
    ])
    expect(await readdir(path.join(at.path, '.stored'))).not.toContain('index.mdb')
    const { code, records } = await at.json('init', '--recover')
    expect(code).toBe(0)
    expect(records).toMatchObject([
      { type: 'recover', key: expect.stringContaining(KEY), size: LARGE.length },
      { type: 'summary', exit: 0, recovered: 1, bytes: LARGE.length },
    ])
    expect(await at.stored('sync', '--until-idle')).toMatchObject({ code: 0 })
    const { key } = records[0] as { key?: string }
    expect((await at.stored('cat', key ?? '')).stdout).toBe(LARGE)
    for (const root of ['a', 'b']) expect(await readdir(path.join(at.path, root, KEY))).toHaveLength(1)
  })
})

describe.concurrent('a store whose index is damaged', () => {
  const DAMAGES = {
    'cut off': (file: string) => truncate(file, 5000),
    // LMDB reads both of its first pages before anything else: this makes their page size invalid.
    'with an impossible header': (file: string) => writeAt(file, 4096 + 48, Buffer.alloc(4)),
    'with a page of garbage': async (file: string) => {
      const { size } = await stat(file)
      const pages = Array.from({ length: Math.floor(size / 4096) - 2 }, (_, i) => (i + 2) * 4096)
      for (const at of pages) await writeAt(file, at, Buffer.alloc(4096, 'garbage'))
    },
    'that is a directory': async (file: string) => {
      await rm(file)
      await mkdir(file)
    },
  }

  it.each(Object.entries(DAMAGES))(
    '%s: every command exits with 8, without a signal; init --recover makes it a store again',
    async (_, harm) => {
      await using at = await place()
      await at.file('large.txt', LARGE)
      await at.stored('put', 'large.txt', '--no-wait')
      await harm(path.join(at.path, '.stored/index.mdb'))
      for (const command of [['ls'], ['status'], ['doctor'], ['verify'], ['sync', '--until-idle'], ['init']])
        expect(await at.stored(...command), command.join(' ')).toMatchObject({ code: 8 })
      expect((await at.json('init', '--recover')).records.at(-1)).toMatchObject({ exit: 0, recovered: 1 })
      expect(await at.stored('doctor')).toMatchObject({ code: 0 })
    },
  )

  it('with only empty files does not count: every command works', async () => {
    await using at = await place()
    await at.file('large.txt', LARGE)
    await at.stored('put', 'large.txt', '--no-wait')
    await truncate(path.join(at.path, '.stored/opening.mdb'), 4096)
    await writeAt(path.join(at.path, '.stored/committing.mdb'), 0, Buffer.alloc(8192, 'garbage'))
    expect((await at.stored('ls')).stdout).toBe('large.txt\n')
    expect(await at.stored('sync', '--until-idle')).toMatchObject({ code: 0 })
  })
})

async function writeAt(file: string, at: number, bytes: Buffer): Promise<void> {
  await using handle = await open(file, 'r+')
  await handle.write(bytes, 0, bytes.length, at)
}

it('init --recover of a healthy store: 7, with -n too', async () => {
  await using at = await place()
  await at.file('large.txt', LARGE)
  await at.stored('put', 'large.txt', '--no-wait')
  for (const more of [[], ['-n']]) {
    const { code, stderr } = await at.stored('init', '--recover', ...more)
    expect(code).toBe(7)
    expect(stderr).toContain('nothing to recover')
  }
})

it('init --recover where nothing is staged: 4, with -n too', async () => {
  await using at = await place()
  for (const more of [[], ['-n']]) expect(await at.stored('init', '--recover', ...more)).toMatchObject({ code: 4 })
})
