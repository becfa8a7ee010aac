import { spawnSync } from 'node:child_process'
import { chmod, readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { VerifyCursor } from '../src/copies/verify-cursor.ts'
import { emptyPlace, type Place, place } from './place.ts'

/** Sets the modes that earlier versions used. */
async function widen(at: Place): Promise<void> {
  const store = path.join(at.path, '.stored')
  await chmod(at.path, 0o755)
  for (const name of ['.', ...(await readdir(store))])
    await chmod(path.join(store, name), (await stat(path.join(store, name))).isDirectory() ? 0o755 : 0o644)
}

async function modes(at: Place): Promise<string[]> {
  const store = path.join(at.path, '.stored')
  const all = ['.', ...(await readdir(store))].map(async (name) => (await stat(path.join(store, name))).mode & 0o777)
  return [...new Set(await Promise.all(all))].map((mode) => mode.toString(8)).sort()
}

const permissions = async (at: Place, ...args: string[]) => {
  const { code, records } = await at.json('doctor', ...args)
  return { code, found: records.filter((record) => (record as { check?: string }).check === 'permissions') }
}

describe.skipIf(process.platform === 'win32')('stored doctor', () => {
  it('finds nothing wrong with the files of a new store', async () => {
    await using at = await place()
    expect(await permissions(at)).toMatchObject({ code: 0, found: [{ result: 'ok', message: 'for the owner only' }] })
  })

  it('names files that others could use and how to close them, and changes nothing', async () => {
    await using at = await place()
    await widen(at)
    const found = [
      {
        result: 'warning',
        message: expect.stringMatching(
          /others can access .stored \(0755, not 0700\).* and \d+ more files; stored doctor --fix/,
        ),
      },
    ]
    expect(await permissions(at)).toMatchObject({ code: 0, found })
    expect(await permissions(at, '--fix', '--dry-run')).toMatchObject({ code: 0, found })
    expect(await modes(at)).toEqual(['644', '755'])
  })

  it('--fix closes them', async () => {
    await using at = await place()
    await widen(at)
    expect(await permissions(at, '--fix')).toMatchObject({
      code: 0,
      found: [
        { result: 'ok', message: expect.stringContaining('changed: others can access .stored (0755, not 0700)') },
      ],
    })
    expect(await modes(at)).toEqual(['600', '700'])
    expect(await permissions(at)).toMatchObject({ found: [{ result: 'ok' }] })
  })

  it('opens them to the group that the configuration says, with --fix', async () => {
    await using at = await place()
    const backends = { a: { driver: 'fs', root: 'a' } }
    await at.file('stored.config.json', JSON.stringify({ path: '.stored', mode: '0770', backends }))
    expect(await permissions(at)).toMatchObject({
      found: [
        { result: 'warning', message: expect.stringContaining('the group cannot access .stored (0700, not 2770)') },
      ],
    })
    await permissions(at, '--fix')
    expect(await modes(at)).toEqual(['660', '770'])
  })

  it.skipIf(process.getuid?.() !== 0)('--fix reports why it cannot change a mode, and fails', async () => {
    await using at = await place()
    await widen(at)
    const { stdout, code } = await at.run(['doctor', '--fix', '--json'], { uid: 65_534 })
    expect(stdout).toMatch(/"failed".*cannot be changed: .stored \(0755, not 0700\): EPERM/)
    expect(code).not.toBe(0)
  })

  it('closes a store to other users: none of them can open a file of it, to lock it', async () => {
    await using at = await place()
    await widen(at)
    await at.stored('doctor', '--fix')
    const file = path.join(at.path, '.stored/index.mdb-lock')
    const { status } = spawnSync('cat', [file], process.getuid?.() === 0 ? { uid: 65_534 } : {})
    expect(status === 0).toBe(process.getuid?.() !== 0)
  })
})

describe.skipIf(process.platform === 'win32')('the file of an interrupted verification', () => {
  it.each([
    ['0700', '600'],
    ['0770', '660'],
  ] as const)('with the mode %s of the store has the mode %s', async (mode, expected) => {
    await using at = await emptyPlace()
    await new VerifyCursor({ path: at.path, mode }, { backend: null, prefix: null, sample: null }).write('cursor')
    expect(((await stat(path.join(at.path, 'verify.json'))).mode & 0o777).toString(8)).toBe(expected)
  })
})
