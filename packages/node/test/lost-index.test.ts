import { randomBytes } from 'node:crypto'
import { cp, mkdir, readdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { writerOf } from '@stored/ledger'
import { LmdbLedger } from '@stored/lmdb'
import { type BackendConfig, recoverStore, type StoreConfig } from '@stored/node'
import { describe, expect, test } from 'vitest'
import { idOf, openAt, temp } from './temp.ts'

const LARGE = randomBytes(300_000)
const OTHER = randomBytes(200_000)
const quiet = { sync: false } as const
const CORRUPT = { code: 'CORRUPT', at: { op: 'open' } }

const indexOf = (directory: string) => path.join(directory, 'store/index.mdb')
const stagingOf = (directory: string) => path.join(directory, 'store/staging')

function configAt(directory: string): StoreConfig<Record<string, BackendConfig>> {
  const folder = (name: string) => ({ driver: 'fs', root: path.join(directory, name) })
  return { path: path.join(directory, 'store'), backends: { a: folder('a'), b: folder('b') } }
}

/** A store that owes two large blobs and a small one. */
async function owing(directory: string): Promise<void> {
  await using store = await openAt(directory, quiet)
  await store.put(LARGE, { key: 'large' })
  await store.put(OTHER, { key: 'other' })
  await store.put(Buffer.from('small'), { key: 'small' })
}

async function staged(directory: string): Promise<string[]> {
  return (await readdir(stagingOf(directory))).filter((name) => /^\d/.test(name)).sort()
}

/** As an older version left it. */
async function forgetUuid(directory: string): Promise<void> {
  const ledger = await LmdbLedger.open({ path: path.join(directory, 'store') })
  await ledger.transact((tx) => writerOf(tx).remove('meta', Buffer.from('store')))
  await ledger.close()
  await rm(path.join(stagingOf(directory), '.stored-id'))
}

const LOSSES: [string, (directory: string) => Promise<void>][] = [
  ['is gone', (directory) => rm(indexOf(directory))],
  [
    'is gone with its locks',
    async (directory) => {
      for (const name of await readdir(path.join(directory, 'store')))
        if (name.includes('.mdb')) await rm(path.join(directory, 'store', name))
    },
  ],
  ['was emptied', (directory) => truncate(indexOf(directory), 0)],
  ['is that of a store that was just made', (directory) => replaceIndex(directory, async () => {})],
  ['is that of another store', (directory) => replaceIndex(directory, owing)],
]

async function replaceIndex(directory: string, fill: (directory: string) => Promise<void>): Promise<void> {
  await using dir = await temp()
  await (await openAt(dir.path, quiet)).close()
  await fill(dir.path)
  await cp(indexOf(dir.path), indexOf(directory))
}

describe.each(LOSSES)('a store whose index %s, with bytes staged', (_, lose) => {
  test('cannot be opened, says what to do, and keeps every staged file', async () => {
    await using dir = await temp()
    await owing(dir.path)
    const files = await staged(dir.path)
    expect(files).toHaveLength(2)
    await lose(dir.path)
    for (const config of [quiet, quiet, {}]) {
      const opening = openAt(dir.path, config)
      await expect(opening).rejects.toMatchObject(CORRUPT)
      await expect(opening).rejects.toThrow('stored init --recover')
    }
    expect(await staged(dir.path)).toEqual(files)
  })

  test('is made a store again by recoverStore(), which binds what is staged under its default key', async () => {
    await using dir = await temp()
    await owing(dir.path)
    const files = await staged(dir.path)
    await lose(dir.path)
    await openAt(dir.path, quiet).catch(() => {})
    const recovered = await Array.fromAsync(recoverStore(configAt(dir.path)))
    const expected = [LARGE, OTHER].map((bytes) => {
      const id = idOf(bytes)
      const hash = id.slice('sha256:'.length)
      return { id, key: `blobs/sha256/${hash.slice(0, 2)}/${hash.slice(2, 4)}/${hash}`, size: bytes.length }
    })
    expect(recovered.sort((a, b) => b.size - a.size)).toEqual(expected)
    expect(await staged(dir.path)).toEqual(files)
    await using store = await openAt(dir.path)
    await store.synced()
    for (const [i, bytes] of [LARGE, OTHER].entries()) {
      const { key } = expected[i] as (typeof expected)[number]
      for (const backend of ['a', 'b'] as const) expect((await store.get(key, { backend })).equals(bytes)).toBe(true)
    }
    expect((await store.status()).staging).toMatchObject({ bytes: 0, count: 0 })
  })

  test('is opened again once its own index is put back', async () => {
    await using dir = await temp()
    await owing(dir.path)
    await cp(indexOf(dir.path), path.join(dir.path, 'kept'))
    await lose(dir.path)
    await openAt(dir.path, quiet).catch(() => {})
    await cp(path.join(dir.path, 'kept'), indexOf(dir.path))
    await using store = await openAt(dir.path, quiet)
    expect((await store.get('large')).equals(LARGE)).toBe(true)
    expect((await store.get('small')).toString()).toBe('small')
  })
})

test('two stores whose staged files were exchanged cannot be opened, and can once they are exchanged again', async () => {
  await using one = await temp()
  await using two = await temp()
  await owing(one.path)
  await owing(two.path)
  const exchange = async () => {
    const aside = path.join(one.path, 'aside')
    await rename(stagingOf(one.path), aside)
    await rename(stagingOf(two.path), stagingOf(one.path))
    await rename(aside, stagingOf(two.path))
  }
  await exchange()
  for (const { path } of [one, two]) await expect(openAt(path, quiet)).rejects.toMatchObject(CORRUPT)
  await exchange()
  for (const { path } of [one, two]) {
    await using store = await openAt(path, quiet)
    expect((await store.get('large')).equals(LARGE)).toBe(true)
  }
})

test('a store that was made before stores had a uuid is opened, and from then on has one', async () => {
  await using dir = await temp()
  await owing(dir.path)
  await forgetUuid(dir.path)
  {
    await using store = await openAt(dir.path, quiet)
    expect((await store.get('large')).equals(LARGE)).toBe(true)
  }
  await rm(indexOf(dir.path))
  await expect(openAt(dir.path, quiet)).rejects.toMatchObject(CORRUPT)
})

test('a store that was made before stores had a uuid, and has lost its index, cannot be opened, and keeps every staged file', async () => {
  await using dir = await temp()
  await owing(dir.path)
  await forgetUuid(dir.path)
  const files = await staged(dir.path)
  await rm(indexOf(dir.path))
  for (const config of [quiet, {}])
    await expect(openAt(dir.path, config)).rejects.toThrow('index.mdb is new, and there are 2 staged files')
  expect(await staged(dir.path)).toEqual(files)
})

test('a store whose directory of staged files lost its mark, or has a damaged one, gets it back', async () => {
  await using dir = await temp()
  await owing(dir.path)
  const mark = path.join(stagingOf(dir.path), '.stored-id')
  const uuid = await readFile(mark, 'utf8')
  for (const harm of [() => rm(mark), () => writeFile(mark, 'x')]) {
    await harm()
    await using store = await openAt(dir.path, quiet)
    expect((await store.get('large')).equals(LARGE)).toBe(true)
    expect(await readFile(mark, 'utf8')).toBe(uuid)
  }
})

test('a store without its index and with nothing staged is made anew', async () => {
  await using dir = await temp()
  await (await openAt(dir.path, quiet)).close()
  await rm(indexOf(dir.path))
  await using store = await openAt(dir.path, quiet)
  await store.put(LARGE, { key: 'k' })
})

describe('recoverStore()', () => {
  const recover = (directory: string) => Array.fromAsync(recoverStore(configAt(directory)))

  test('of a store that is well rejects ALREADY_EXISTS and leaves it as it is', async () => {
    await using dir = await temp()
    await owing(dir.path)
    await expect(recover(dir.path)).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
    await using store = await openAt(dir.path, quiet)
    expect((await store.get('large')).equals(LARGE)).toBe(true)
  })

  test('where nothing is staged rejects NOT_FOUND and makes nothing', async () => {
    await using dir = await temp()
    await expect(recover(dir.path)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(await readdir(dir.path)).toEqual([])
  })

  test('that was cut off leaves a store that is CORRUPT until it is called again', async () => {
    await using dir = await temp()
    await owing(dir.path)
    const files = await staged(dir.path)
    await rm(indexOf(dir.path))
    for await (const _ of recoverStore(configAt(dir.path))) break
    await expect(openAt(dir.path)).rejects.toMatchObject(CORRUPT)
    expect(await staged(dir.path)).toEqual(files)
    expect(await recover(dir.path)).toHaveLength(2)
    await using store = await openAt(dir.path)
    await store.synced()
    expect(await readdir(path.join(dir.path, 'a/blobs/sha256'))).toHaveLength(2)
  })

  test('keeps an index of another store aside, whole', async () => {
    await using dir = await temp()
    await owing(dir.path)
    await replaceIndex(dir.path, owing)
    const foreign = await readFile(indexOf(dir.path))
    await recover(dir.path)
    const kept = (await readdir(path.join(dir.path, 'store'))).filter((name) =>
      name.startsWith('index.mdb.stored-kept-'),
    )
    expect(kept.filter((name) => !name.endsWith('-lock'))).toHaveLength(1)
    expect((await readFile(path.join(dir.path, 'store', kept[0] as string))).equals(foreign)).toBe(true)
  })

  test('of a file that is not an index keeps it aside', async () => {
    await using dir = await temp()
    await owing(dir.path)
    await writeFile(indexOf(dir.path), 'no index of any kind'.repeat(10))
    expect(await recover(dir.path)).toHaveLength(2)
  })

  test.each([4096, 8192, 50_000])('of an index of which the first %i bytes are left keeps it aside', async (length) => {
    await using dir = await temp()
    await owing(dir.path)
    await truncate(indexOf(dir.path), length)
    await expect(openAt(dir.path, quiet)).rejects.toMatchObject(CORRUPT)
    expect(await recover(dir.path)).toHaveLength(2)
  })

  test('of a store that is CORRUPT elsewhere leaves its index where it is', async () => {
    await using dir = await temp()
    await owing(dir.path)
    const index = await readFile(indexOf(dir.path))
    await rm(path.join(dir.path, 'store/opening.mdb'))
    await mkdir(path.join(dir.path, 'store/opening.mdb'))
    await expect(recover(dir.path)).rejects.toMatchObject({ code: 'CORRUPT' })
    expect((await readFile(indexOf(dir.path))).equals(index)).toBe(true)
  })

  test('of two files with the same bytes makes one blob', async () => {
    await using dir = await temp()
    await owing(dir.path)
    const [name = ''] = await staged(dir.path)
    await cp(path.join(stagingOf(dir.path), name), path.join(stagingOf(dir.path), name.replace(/.$/, 'x')))
    await rm(indexOf(dir.path))
    expect(new Set((await recover(dir.path)).map(({ id }) => id)).size).toBe(2)
    await using store = await openAt(dir.path)
    expect((await store.status()).staging.count).toBe(2)
    await store.synced()
  })
})
