import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, mkdir, readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, test } from 'vitest'
import { wrongModes } from '../src/index.ts'
import { collect, openAt, type TempDirectory, temp } from './temp.ts'

const UMASKS = ['000', '022', '077']
const UMASK = process.umask()
afterEach(() => void process.umask(UMASK))

/** The mode of everything in a directory and of itself, `.`, by its relative path; sockets lose what is random in their names. */
async function modesIn(directory: string): Promise<Record<string, string>> {
  const names = ['.', ...(await readdir(directory, { recursive: true }))]
  const modes: Record<string, string> = {}
  for (const name of names) {
    const { mode } = await stat(path.join(directory, name))
    modes[name.replace(/^(open|syncer)-.*\.sock$/, '$1').replace(/^staging\/\d.*/, 'staged')] = (
      mode & 0o7777
    ).toString(8)
  }
  return modes
}

const EVERYTHING = {
  '.': 'directory',
  staging: 'directory',
  staged: 'file',
  ballast: 'file',
  'staging/.stored-id': 'file',
  cache: 'directory',
  'index.mdb': 'file',
  'index.mdb-lock': 'file',
  'opening.mdb': 'file',
  'opening.mdb-lock': 'file',
  'committing.mdb': 'file',
  'committing.mdb-lock': 'file',
  open: 'asked',
  syncer: 'asked',
} as const

function all(directory: string, file: string): Record<string, string> {
  const of = { directory, file, asked: '666' }
  return Object.fromEntries(Object.entries(EVERYTHING).map(([name, kind]) => [name, of[kind]]))
}

/** Opens a store with each kind of file in it, and waits until all of them are there with these modes. */
async function expectModes(at: TempDirectory, modes: Record<string, string>, mode: '0700' | '0770'): Promise<void> {
  await using store = await openAt(at.path, { mode, cache: {} })
  await store.pause('a')
  await store.put(Buffer.alloc(100_000, 'x'), { key: 'staged' })
  // The ballast is built in the background.
  await expect.poll(() => modesIn(path.join(at.path, 'store'))).toEqual(modes)
}

describe.skipIf(process.platform === 'win32')('openStore()', () => {
  test.each(UMASKS)('with the umask %s makes a store that its owner alone may use', async (umask) => {
    await using at = await temp()
    process.umask(Number.parseInt(umask, 8))
    await expectModes(at, all('700', '600'), '0700')
  })

  test.each(UMASKS)('with the umask %s and mode 0770 makes one that its group may use', async (umask) => {
    await using at = await temp()
    process.umask(Number.parseInt(umask, 8))
    const own = { [`cache/user-${process.getuid?.()}`]: '700' }
    await expectModes(at, { ...all('2770', '660'), ...own }, '0770')
  })

  test('closes the read cache that it makes elsewhere, and leaves the directories above it alone', async () => {
    await using at = await temp()
    process.umask(0o022)
    await (await openAt(at.path, { cache: { location: path.join(at.path, 'shared/cache') } })).close()
    expect(await modesIn(path.join(at.path, 'shared'))).toEqual({ '.': '755', cache: '700' })
  })

  test('of a store that is there leaves its modes as they are', async () => {
    await using at = await temp()
    await (await openAt(at.path)).close()
    await chmod(path.join(at.path, 'store'), 0o755)
    await chmod(path.join(at.path, 'store/index.mdb'), 0o644)
    await (await openAt(at.path)).close()
    expect(await modesIn(path.join(at.path, 'store'))).toMatchObject({ '.': '755', 'index.mdb': '644' })
  })
})

const CHILD = fileURLToPath(new URL('modes.child.ts', import.meta.url))
const GROUP = 65_500
const MEMBERS = [65_501, 65_502] as const
const may =
  process.getuid?.() === 0 &&
  spawnSync(process.execPath, ['--check', CHILD], { uid: MEMBERS[0], gid: GROUP, stdio: 'ignore' }).status === 0
const reason = may ? '' : ' (skipped: needs root, and sources that other users may read)'

/** Starts a process of one of them. @returns What it says once it has the store open, or why it has not; and what ends it. */
async function startAs(uid: number, directory: string, key: string) {
  const child = spawn(process.execPath, [CHILD, directory, key], {
    uid,
    gid: GROUP,
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const closed = once(child, 'close')
  const [said] = await once(child.stdout, 'data')
  const end = () => {
    child.stdin.end()
    return closed
  }
  return { said: JSON.parse(String(said)) as unknown, end }
}

describe.skipIf(!may)(`a store that several users share${reason}`, () => {
  const [first, second] = MEMBERS

  test('with mode 0770: each one of its group puts, reads and hears the others, whatever their umask', async () => {
    await using at = await temp()
    await chown(at.path, 0, GROUP)
    await chmod(at.path, 0o2770)
    const one = await startAs(first, at.path, 'a')
    expect(one.said).toEqual({ found: { a: 100_000 }, syncing: 'here' })
    const other = await startAs(second, at.path, 'b')
    expect(other.said).toEqual({ found: { a: 100_000, b: 100_000 }, syncing: 'elsewhere' })
    await one.end()
    const again = await startAs(first, at.path, 'c')
    expect(again.said).toMatchObject({ found: { a: 100_000, b: 100_000, c: 100_000 } })
    await Promise.all([other.end(), again.end()])
  })

  test('of one alone is refused to everybody else, who is told whose it is', async () => {
    await using at = await temp()
    await chmod(at.path, 0o755)
    await (await openAt(at.path)).close()
    const { said, end } = await startAs(first, at.path, 'x')
    await end()
    expect(said).toMatch(/PERMISSION_DENIED.*store \(owner 0, mode 0700\) is closed to user 65501/)
  })
})

describe.skipIf(process.platform === 'win32')('wrongModes()', () => {
  const config = (at: TempDirectory) => ({ path: path.join(at.path, 'store'), mode: '0700' }) as const
  const names = async (found: ReturnType<typeof wrongModes>) =>
    (await collect(found)).map(({ path: file, mode, isOpen }) => [path.basename(file), mode, isOpen])

  test('finds nothing in a new store, nor where there is none', async () => {
    await using at = await temp()
    expect(await collect(wrongModes(config(at)))).toEqual([])
    await (await openAt(at.path)).close()
    expect(await collect(wrongModes(config(at)))).toEqual([])
  })

  test('finds what others may use, and with fix closes it', async () => {
    await using at = await temp()
    await (await openAt(at.path)).close()
    await chmod(config(at).path, 0o755)
    await chmod(path.join(config(at).path, 'index.mdb-lock'), 0o664)
    const found = [
      ['store', 0o755, true],
      ['index.mdb-lock', 0o664, true],
    ]
    expect(await names(wrongModes(config(at)))).toEqual(found)
    expect(await names(wrongModes(config(at), { fix: true }))).toEqual(found)
    expect(await modesIn(config(at).path)).toMatchObject({ '.': '700', 'index.mdb-lock': '600' })
    expect(await collect(wrongModes(config(at)))).toEqual([])
  })

  test('leaves alone what in the directory of the store is not the store’s', async () => {
    await using at = await temp()
    await (await openAt(at.path)).close()
    const disk = path.join(config(at).path, 'disk')
    await mkdir(disk)
    await chmod(disk, 0o755)
    expect(await collect(wrongModes(config(at), { fix: true }))).toEqual([])
    expect(await modesIn(config(at).path)).toMatchObject({ disk: '755' })
  })

  test('finds what the group may not use, and with fix opens it', async () => {
    await using at = await temp()
    await (await openAt(at.path)).close()
    const shared = { ...config(at), mode: '0770' } as const
    expect((await collect(wrongModes(shared))).every(({ isOpen }) => !isOpen)).toBe(true)
    for await (const { error } of wrongModes(shared, { fix: true })) expect(error).toBeUndefined()
    expect(await modesIn(shared.path)).toMatchObject({ '.': '2770', staging: '2770', 'index.mdb': '660' })
    expect(await collect(wrongModes(shared))).toEqual([])
  })
})
