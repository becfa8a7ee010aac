import { randomBytes } from 'node:crypto'
import { appendFile, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { MemoryBackend } from '@stored/core/backend'
import { openStore } from '@stored/node'
import { describe, expect, test } from 'vitest'
import { openAt, temp } from './temp.ts'

const LARGE = randomBytes(300_000)
const SMALL = randomBytes(20_000)

const isPaused = { sync: false } as const

async function stagedFile(directory: string): Promise<string> {
  const staging = path.join(directory, 'store/staging')
  const names = (await readdir(staging)).filter((name) => /^\d/.test(name))
  expect(names).toHaveLength(1)
  return path.join(staging, names[0] as string)
}

/** Turns a bit of `bytes` over, wherever they lie in the file. */
async function flip(file: string, bytes: Buffer): Promise<void> {
  const content = await readFile(file)
  // LMDB may keep a former page as well.
  let found = 0
  for (let at = content.indexOf(bytes); at !== -1; at = content.indexOf(bytes, at + 1), found++)
    content.writeUInt8(content.readUInt8(at + 100) ^ 1, at + 100)
  expect(found).toBeGreaterThan(0)
  await writeFile(file, content)
}

const HARMS: [string, (file: string) => Promise<void>][] = [
  ['have a bit turned over', (file) => flip(file, LARGE)],
  ['are cut off', (file) => truncate(file, 100_000)],
  ['are emptied', (file) => truncate(file, 0)],
  ['are too many', (file) => appendFile(file, 'x')],
  ['are gone', (file) => rm(file)],
]

describe.each(HARMS)('staged bytes that %s', (_, harm) => {
  test('are replaced by a put of the same bytes, which reach every backend', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path)
    for (const name of ['a', 'b'] as const) await store.pause(name)
    await store.put(LARGE, { key: 'k' })
    await harm(await stagedFile(dir.path))
    await store.put(LARGE, { key: 'k' })
    expect((await store.get('k')).equals(LARGE)).toBe(true)
    expect((await store.status()).staging).toMatchObject({ bytes: LARGE.length, count: 1 })
    await stagedFile(dir.path)
    for (const name of ['a', 'b'] as const) await store.resume(name)
    await store.synced('k')
    for (const name of ['a', 'b']) expect((await readFile(path.join(dir.path, name, 'k'))).equals(LARGE)).toBe(true)
    expect((await store.status()).staging).toMatchObject({ bytes: 0, count: 0 })
  })

  test('are replaced by a put under another key, and by one to another backend', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path, isPaused)
    await store.put(LARGE, { key: 'k', backends: ['a'] })
    await harm(await stagedFile(dir.path))
    await store.put(LARGE, { key: 'k', backends: ['b'] })
    expect((await store.get('k')).equals(LARGE)).toBe(true)
    await harm(await stagedFile(dir.path))
    await store.put(LARGE, { key: 'other' })
    expect((await store.get('k')).equals(LARGE)).toBe(true)
  })
})

test('damaged bytes that lie in the index are replaced by a put of the same bytes', async () => {
  await using dir = await temp()
  {
    await using store = await openAt(dir.path, isPaused)
    await store.put(SMALL, { key: 'k' })
  }
  await flip(path.join(dir.path, 'store/index.mdb'), SMALL)
  await using store = await openAt(dir.path, isPaused)
  await expect(store.get('k')).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH' })
  await store.put(SMALL, { key: 'k' })
  expect((await store.get('k')).equals(SMALL)).toBe(true)
})

test('a job that was parked for its damaged bytes is done after a put of the same bytes', async () => {
  await using dir = await temp()
  await using store = await openAt(dir.path)
  for (const name of ['a', 'b'] as const) await store.pause(name)
  await store.put(LARGE, { key: 'k' })
  await flip(await stagedFile(dir.path), LARGE)
  for (const name of ['a', 'b'] as const) await store.resume(name)
  await expect(store.synced('k')).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH' })
  await store.put(LARGE, { key: 'k' })
  await store.synced('k')
  expect((await readFile(path.join(dir.path, 'a/k'))).equals(LARGE)).toBe(true)
})

test('a reader of staged bytes reads on to their end while a put replaces them', async () => {
  await using dir = await temp()
  await using store = await openAt(dir.path, isPaused)
  const bytes = randomBytes(3_000_000)
  await store.put(bytes, { key: 'k' })
  const stream = await store.get('k', { stream: true })
  const read: Buffer[] = []
  for await (const chunk of stream) {
    if (read.length === 0) await store.put(bytes, { key: 'k' })
    read.push(chunk)
  }
  expect(Buffer.concat(read).equals(bytes)).toBe(true)
})

test('a copy that is found damaged while it is written is written again from what a put brought meanwhile', async () => {
  await using dir = await temp()
  const begun = Promise.withResolvers<void>()
  const goOn = Promise.withResolvers<void>()
  class Slow extends MemoryBackend {
    override async put(...args: Parameters<MemoryBackend['put']>) {
      begun.resolve()
      await goOn.promise
      return super.put(...args)
    }
  }
  await using store = await openStore({ path: path.join(dir.path, 'store'), backends: { slow: new Slow() } })
  await store.pause('slow')
  await store.put(LARGE, { key: 'k' })
  await flip(await stagedFile(dir.path), LARGE)
  await store.resume('slow')
  await begun.promise
  await store.put(LARGE, { key: 'k' })
  goOn.resolve()
  await store.synced('k')
  expect((await store.get('k', { backend: 'slow' })).equals(LARGE)).toBe(true)
})

test('a copy that was found missing is made again by a put of the same bytes', async () => {
  await using dir = await temp()
  await using store = await openAt(dir.path)
  await store.put(LARGE, { key: 'k', backends: ['a'] })
  await store.synced('k')
  await rm(path.join(dir.path, 'a/k'))
  await Array.fromAsync(store.verify())
  expect((await store.stat('k'))?.locations).toMatchObject([{ backend: 'a', state: 'missing' }])
  await store.put(LARGE, { key: 'k', backends: ['a'] })
  await store.synced('k')
  expect((await readFile(path.join(dir.path, 'a/k'))).equals(LARGE)).toBe(true)
})
