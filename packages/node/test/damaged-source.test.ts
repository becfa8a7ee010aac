import { readdir, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { openStore } from '@stored/node'
import { expect, test } from 'vitest'
import { temp } from './temp.ts'

const BYTES = Buffer.alloc(900_000, 'a')
const DAMAGED = Buffer.alloc(BYTES.length, 'b')

/** A store with three folders, whose staging is above its high-water mark with one such blob. */
function openAt(directory: string) {
  const folder = (name: string) => ({ driver: 'fs', root: path.join(directory, name) }) as const
  const backends = { a: folder('a'), b: folder('b'), c: folder('c') }
  return openStore({ path: path.join(directory, 'store'), backends, staging: { limit: 1_000_000 } })
}

/** The blob is on `a` and `b`, owed to `c`, which is paused, and not staged any more. */
async function oweToThird(store: Awaited<ReturnType<typeof openAt>>): Promise<void> {
  await store.pause('c')
  await store.put(BYTES, { key: 'k' })
  await store.synced('k', { backends: ['a', 'b'] })
  await until(async () => (await store.status()).staging.bytes === 0)
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise(setImmediate)
}

test('a copy of a released blob is made from the next one when the first turns out to be damaged', async () => {
  await using dir = await temp()
  await using store = await openAt(dir.path)
  await oweToThird(store)
  await writeFile(path.join(dir.path, 'a', 'k'), DAMAGED)
  await store.resume('c')
  await store.synced('k', { backends: ['c'] })
  expect(await store.get('k', { backend: 'c' })).toEqual(BYTES)
})

test.each([
  ['damaged', 'unknown', (file: string) => writeFile(file, DAMAGED)],
  ['gone', 'missing', (file: string) => rm(file)],
] as const)('a copy that is found %s while another is made from it is %s from then on', async (_, state, harm) => {
  await using dir = await temp()
  await using store = await openAt(dir.path)
  await oweToThird(store)
  await harm(path.join(dir.path, 'a', 'k'))
  await store.resume('c')
  await store.synced('k', { backends: ['c'] })
  expect((await store.stat('k'))?.locations).toMatchObject([
    { backend: 'a', state, synced: false },
    { backend: 'b', state: 'synced' },
    { backend: 'c', state: 'synced' },
  ])
})

test('a copy is made from another one when what is staged turns out to be damaged', async () => {
  await using dir = await temp()
  await using store = await openAt(dir.path)
  const small = BYTES.subarray(0, 100_000)
  await store.pause('c')
  await store.put(small, { key: 'k' })
  await store.synced('k', { backends: ['a', 'b'] })
  const staging = path.join(dir.path, 'store', 'staging')
  for (const entry of await readdir(staging, { recursive: true, withFileTypes: true }))
    if (entry.isFile()) await writeFile(path.join(entry.parentPath, entry.name), DAMAGED.subarray(0, small.length))
  await store.resume('c')
  await store.synced('k')
  expect(await store.get('k', { backend: 'c' })).toEqual(small)
})

test('a blob of which every copy is damaged is copied nowhere, and its job parked with the reason', async () => {
  await using dir = await temp()
  await using store = await openAt(dir.path)
  await oweToThird(store)
  for (const name of ['a', 'b']) await writeFile(path.join(dir.path, name, 'k'), DAMAGED)
  await store.resume('c')
  await expect(store.synced('k')).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH' })
  expect(await readdir(path.join(dir.path, 'c')).catch(() => [])).not.toContain('k')
})

test('synced() for a number of copies of which one was found damaged rejects with what it was found with', async () => {
  await using dir = await temp()
  await using store = await openAt(dir.path)
  await store.put(BYTES, { key: 'k' })
  await store.synced('k')
  await writeFile(path.join(dir.path, 'b', 'k'), DAMAGED)
  await Array.fromAsync(store.verify({ backend: 'b' }))
  await store.synced('k', { copies: 2 })
  await expect(store.synced('k', { copies: 3 })).rejects.toMatchObject({
    code: 'CHECKSUM_MISMATCH',
    at: { backend: 'b', key: 'k' },
  })
  await expect(store.synced('k', { copies: 4 })).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
})
