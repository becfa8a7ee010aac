import { rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { type GetOptions, type GetResult, MemoryBackend } from '@stored/core/backend'
import { openStore, type StoreConfig } from '@stored/node'
import { beforeEach, describe, expect, test } from 'vitest'
import { collect, idOf, openAt, type TempDirectory, temp } from './temp.ts'

const BYTES = Buffer.alloc(200_000, 'precious ')
const OTHER = Buffer.alloc(200_000, 'owed ')

/** Memory behind a cable: bytes that pass may come out wrong. */
class Cable extends MemoryBackend {
  /** What becomes of the bytes of a read, by its number from 1, and that of the connection. */
  harm: (bytes: Buffer, read: number, connection: number) => Buffer = (bytes) => bytes
  reads = 0
  connection = 1

  override async get(key: string, options: GetOptions): Promise<GetResult> {
    const { stat, body } = await super.get(key, options)
    const bytes = Buffer.concat(await collect(body))
    const passed = this.harm(bytes, ++this.reads, this.connection)
    return {
      stat,
      body: (async function* () {
        yield passed
      })(),
    }
  }

  override reconnect(): void {
    this.connection++
  }
}

/** The same bytes with one bit the other way. */
function flipped(bytes: Buffer, at = 0): Buffer {
  const wrong = Buffer.from(bytes)
  wrong.writeUInt8(wrong.readUInt8(at) ^ 1, at)
  return wrong
}

const once: Cable['harm'] = (bytes, read) => (read === 1 ? flipped(bytes) : bytes)
const differently: Cable['harm'] = (bytes, read) => flipped(bytes, read)

describe('bytes that come out wrong', () => {
  let dir: TempDirectory
  let cable: Cable
  let store: Awaited<ReturnType<typeof open>>

  const open = (more: Partial<StoreConfig<{ far: { backend: Cable }; near: { driver: 'fs'; root: string } }>> = {}) =>
    openStore({
      path: path.join(dir.path, 'store'),
      backends: { far: { backend: cable }, near: { driver: 'fs', root: path.join(dir.path, 'near') } },
      staging: { limit: 220_000 },
      ...more,
    })
  const stateOf = async (backend: string, key = 'k') =>
    (await store.stat(key))?.locations.find((location) => location.backend === backend)?.state

  /** Another blob under `l`, which lies on `far`, is owed to `near`, which is paused, and not staged. */
  const owe = async () => {
    await store.pause('near')
    await store.put(OTHER, { key: 'l' })
    await store.synced('l', { backends: ['far'] })
    while ((await store.status()).staging.bytes > 0) await new Promise(setImmediate)
    cable.reads = 0
  }

  beforeEach(async () => {
    dir = await temp()
    cable = new Cable()
    store = await open()
    await store.put(BYTES, { key: 'k', backends: ['far'] })
    await store.synced()
    return async () => {
      await store.close()
      await dir[Symbol.asyncDispose]()
    }
  })

  test('once are read again by get(), and condemn nothing', async () => {
    cable.harm = once
    expect(await store.get('k')).toEqual(BYTES)
    expect(await stateOf('far')).toBe('synced')
  })

  test('once end a stream with an error that says that it may be tried again, and condemn nothing', async () => {
    cable.harm = once
    const stream = await store.get('k', { stream: true })
    await expect(collect(stream)).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH', retryable: true })
    expect(await stateOf('far')).toBe('synced')
    expect(Buffer.concat(await collect(await store.get('k', { stream: true })))).toEqual(BYTES)
  })

  test('once are read again by verify(), which finds the copy whole', async () => {
    cable.harm = once
    expect(await collect(store.verify())).toMatchObject([{ backend: 'far', state: 'synced', checked: true }])
  })

  test('once while another copy is made of them condemn neither copy nor job', async () => {
    await owe()
    cable.harm = once
    await store.resume('near')
    await store.synced('l')
    expect([await stateOf('far', 'l'), await stateOf('near', 'l')]).toEqual(['synced', 'synced'])
    // The wrong one, the look, and that of the next try.
    expect(cable.reads).toBe(3)
  })

  test('another way with each read tell nothing of the copy', async () => {
    cable.harm = differently
    await expect(store.get('k')).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH' })
    expect(await collect(store.verify())).toMatchObject([{ checked: false, error: { code: 'CHECKSUM_MISMATCH' } }])
    expect(await stateOf('far')).toBe('synced')
  })

  test('over one connection are read again over another', async () => {
    cable.harm = (bytes, _, connection) => (connection === 1 ? flipped(bytes) : bytes)
    expect(await store.get('k')).toEqual(BYTES)
    expect(await stateOf('far')).toBe('synced')
  })

  test('twice alike, over two connections, are damage', async () => {
    cable.harm = (bytes) => flipped(bytes)
    await expect(store.get('k')).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH' })
    expect(await stateOf('far')).toBe('corrupt')
  })

  test.each([
    ['whole', undefined],
    ['a range', { offset: 9, length: 9 }],
  ])('from an only copy are an error, and get() of %s tries it again each time', async (_, range) => {
    cable.harm = (bytes) => flipped(bytes)
    await collect(store.verify())
    const options = range && { range }
    await expect(store.get('k', options)).rejects.toMatchObject({ code: 'CHECKSUM_MISMATCH' })
    cable.harm = (bytes) => bytes
    const expected = range ? BYTES.subarray(range.offset, range.offset + range.length) : BYTES
    expect(await store.get('k', options)).toEqual(expected)
    expect(await stateOf('far')).toBe('synced')
  })

  test('from the only source of another copy are read again once it is whole', async () => {
    await owe()
    cable.harm = (bytes) => flipped(bytes)
    await collect(store.verify({ backend: 'far', prefix: 'l' }))
    expect(await stateOf('far', 'l')).toBe('corrupt')
    cable.harm = (bytes) => bytes
    await store.resume('near')
    await store.synced('l', { backends: ['near'] })
    expect(await stateOf('near', 'l')).toBe('synced')
  })
})

test('get() of a copy that somebody brought back finds it whole, and says so', async () => {
  await using dir = await temp()
  await using store = await openAt(dir.path)
  await store.put(BYTES, { key: 'k', backends: ['a'] })
  await store.synced()
  const file = path.join(dir.path, 'a', 'k')
  await rm(file)
  await expect(store.get('k')).rejects.toMatchObject({ code: 'NOT_FOUND' })
  expect((await store.stat('k'))?.locations).toMatchObject([{ state: 'missing' }])
  await writeFile(file, BYTES)
  expect(await store.get('k', { backend: 'a' })).toEqual(BYTES)
  expect((await store.stat(idOf(BYTES)))?.locations).toMatchObject([{ state: 'synced', synced: true }])
})
