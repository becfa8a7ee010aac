import { readdir, rm } from 'node:fs/promises'
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

  it('init: the same once another command made a new index', async () => {
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

  it('init --recover makes a store of what is staged; -n only says so; sync brings it to its backends', async () => {
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

it('init --recover of a store that is well: 7, with -n too', async () => {
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
