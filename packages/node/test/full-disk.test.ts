import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { closeSync, mkdirSync, openSync, rmSync, statfsSync, statSync, writeSync } from 'node:fs'
import path from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { collect, openAt, temp } from './temp.ts'

const MIB = 2 ** 20
const base = await temp()
const disks = [mount('tmpfs'), mount('ext4')]

afterAll(async () => {
  for (const { directory, reason } of disks)
    if (reason === null) execFileSync('umount', [path.join(directory, 'store')])
  await base[Symbol.asyncDispose]()
})

/** A disk of 24 MiB as the directory of a store; its backends lie elsewhere. `reason` is why there is none. */
function mount(
  type: 'tmpfs' | 'ext4',
  name = '',
): { type: 'tmpfs' | 'ext4'; directory: string; reason: string | null } {
  const directory = path.join(base.path, type + name)
  const at = path.join(directory, 'store')
  if (process.platform !== 'linux' || process.getuid?.() !== 0)
    return { type, directory, reason: 'mounting a small disk needs Linux and root' }
  try {
    mkdirSync(at, { recursive: true })
    if (type === 'tmpfs') execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', at], { stdio: 'pipe' })
    else {
      const image = path.join(directory, 'image')
      execFileSync('truncate', ['-s', '24m', image])
      execFileSync('mkfs.ext4', ['-q', '-m', '0', image], { stdio: 'pipe' })
      execFileSync('mount', ['-o', 'loop', image, at], { stdio: 'pipe' })
    }
    return { type, directory, reason: null }
  } catch (error) {
    return {
      type,
      directory,
      reason: error instanceof Error ? (error.message.split('\n').at(-1) ?? '') : String(error),
    }
  }
}

/** Somebody else, who takes all that is left, and gives it back when disposed. */
function fill(directory: string): Disposable {
  const file = path.join(directory, 'store/filler')
  const descriptor = openSync(file, 'w')
  for (const size of [MIB, 4096, 1])
    try {
      while (true) writeSync(descriptor, Buffer.alloc(size, 1))
    } catch (error) {
      expect(error).toMatchObject({ code: 'ENOSPC' })
    }
  closeSync(descriptor)
  expect(statfsSync(path.join(directory, 'store')).bavail).toBe(0)
  return { [Symbol.dispose]: () => rmSync(file) }
}

const codeOf = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    () => 'fulfilled',
    (error) => error.code,
  )

/** Else puts would wait at a quarter of the disk. */
const STAGES_ALL = { staging: { limit: 2 ** 30 } }

const sizeOf = (i: number): number => (i % 2 === 0 ? 20_000 : 400_000)

describe.each(disks)('a store on a full disk ($type of 24 MiB)', ({ type, directory, reason }) => {
  const suffix = reason === null ? '' : ` (${reason})`

  test.skipIf(reason !== null)(`refuses puts, and reads, lists, deletes and syncs${suffix}`, async () => {
    await using store = await openAt(directory, STAGES_ALL)
    for (const name of ['a', 'b'] as const) await store.pause(name)
    const acknowledged = new Map<string, Buffer>()
    let failure: unknown
    for (let i = 0; failure === undefined; i++) {
      const bytes = randomBytes(sizeOf(i))
      await store.put(bytes, { key: `k${i}` }).then(
        () => acknowledged.set(`k${i}`, bytes),
        (error) => {
          failure = error
        },
      )
    }
    expect(failure).toMatchObject({ code: 'NO_SPACE' })
    expect(acknowledged.size).toBeGreaterThan(10)
    {
      using _ = fill(directory)
      // One look at the disk is believed for a second; a small blob fits the spare room that LMDB's file has.
      await expect.poll(() => codeOf(store.put(randomBytes(10), { key: 'x' }))).toBe('NO_SPACE')
      await store.delete('x')
      for (const [key, bytes] of acknowledged) expect((await store.get(key)).equals(bytes)).toBe(true)
      expect(await collect(store.list())).toHaveLength(acknowledged.size)
      expect(await store.delete('k0')).toMatchObject({ deleted: ['k0'] })
      for (const name of ['a', 'b'] as const) await store.resume(name)
      await store.synced()
    }
    await expect.poll(() => store.put(Buffer.from('there is space'), { key: 'after' })).toMatchObject({ key: 'after' })
    for (const key of acknowledged.keys()) await store.delete(key)
    await store.synced()
  })

  test.skipIf(reason !== null)(
    `refuses the puts that others leave no space for, and no later ones${suffix}`,
    async () => {
      await using store = await openAt(directory, { ...STAGES_ALL, sync: false, reserve: 0 })
      const acknowledged = new Map<string, Buffer>()
      const rejected: unknown[] = []
      let taken: Disposable | undefined
      let i = 0
      const putMany = async () => {
        while (rejected.length < 40) {
          const key = `${type} ${i}`
          const bytes = randomBytes(sizeOf(i++))
          await store.put(bytes, { key }).then(
            () => acknowledged.set(key, bytes),
            (error) => rejected.push(error),
          )
          // While the other seven are under way, at whatever point. One commit may have acknowledged several of them.
          if (acknowledged.size >= 12) taken ??= fill(directory)
        }
      }
      await Promise.all(Array.from({ length: 8 }, putMany))
      expect(rejected.map((error) => (error as { code: unknown }).code)).toEqual(rejected.map(() => 'NO_SPACE'))
      for (const [key, bytes] of acknowledged) expect((await store.get(key)).equals(bytes)).toBe(true)
      taken?.[Symbol.dispose]()
      await expect.poll(() => store.put(Buffer.from('again'), { key: 'again' })).toMatchObject({ key: 'again' })
    },
  )
})

describe.each(disks)('the ballast of a store ($type of 24 MiB)', ({ type, reason }) => {
  const suffix = reason === null ? '' : ` (${reason})`
  /** A disk with a store that holds blobs and owes others, closed; unmounted when disposed. */
  async function prepare() {
    const disk = mount(type, 'own')
    const at = path.join(disk.directory, 'store')
    const ballast = () => statSync(path.join(at, 'ballast'), { throwIfNoEntry: false })?.size ?? 0
    // A tenth of the disk, since that is less than 16 MiB.
    const isWhole = () => expect.poll(ballast).toBeGreaterThan(2 * MIB)
    const open = () => openAt(disk.directory, STAGES_ALL)
    const blobs = new Map(Array.from({ length: 6 }, (_, i) => [`k${i}`, randomBytes(sizeOf(i))]))
    {
      await using store = await open()
      for (const [key, bytes] of blobs) {
        if (key === 'k3') {
          await store.synced()
          for (const name of ['a', 'b'] as const) await store.pause(name)
        }
        await store.put(bytes, { key })
      }
      await isWhole()
    }
    const unmount = async () => {
      execFileSync('umount', [at])
      rmSync(disk.directory, { recursive: true })
    }
    return {
      directory: disk.directory,
      file: path.join(at, 'ballast'),
      blobs,
      ballast,
      isWhole,
      open,
      [Symbol.asyncDispose]: unmount,
    }
  }

  test.skipIf(reason !== null)(
    `lets it be opened with 0 bytes free; it reads, lists, deletes and syncs${suffix}`,
    async () => {
      await using disk = await prepare()
      const { blobs } = disk
      {
        using _ = fill(disk.directory)
        await using store = await disk.open()
        expect(disk.ballast()).toBe(0)
        const putting = store.put(randomBytes(10), { key: 'x' })
        await expect(putting).rejects.toMatchObject({ code: 'NO_SPACE', at: { op: 'put' } })
        for (const [key, bytes] of blobs) expect((await store.get(key)).equals(bytes)).toBe(true)
        expect(await collect(store.list())).toHaveLength(blobs.size)
        for (const key of ['k0', 'k5']) expect(await store.delete(key)).toMatchObject({ deleted: [key] })
        for (const name of ['a', 'b'] as const) await store.resume(name)
        await store.synced()
        expect((await store.status()).staging).toMatchObject({ bytes: 0, count: 0 })
      }
      // There is space again.
      await using store = await disk.open()
      await disk.isWhole()
      await store.put(randomBytes(10), { key: 'x' })
      await store.synced()
    },
  )

  test.skipIf(reason !== null)(`is built again with a put, once there is room${suffix}`, async () => {
    await using disk = await prepare()
    let filled: Disposable | undefined = fill(disk.directory)
    await using store = await disk.open()
    expect(disk.ballast()).toBe(0)
    filled[Symbol.dispose]()
    filled = undefined
    await expect.poll(() => codeOf(store.put(randomBytes(10), { key: 'x' }))).toBe('fulfilled')
    await disk.isWhole()
  })

  test.skipIf(reason !== null)(`is missed where it is gone: NO_SPACE, and says so${suffix}`, async () => {
    await using disk = await prepare()
    rmSync(disk.file)
    {
      using _ = fill(disk.directory)
      const opening = disk.open()
      await expect(opening).rejects.toMatchObject({ code: 'NO_SPACE', at: { op: 'open' } })
      await expect(opening).rejects.toThrow('the disk is full')
    }
    await using store = await disk.open()
    await disk.isWhole()
    for (const [key, bytes] of disk.blobs) expect((await store.get(key)).equals(bytes)).toBe(true)
  })
})
