import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { ALGORITHMS, type Algorithm } from '@stored/core'
import { describe, expect, test } from 'vitest'
import { collect, openAt, temp } from './temp.ts'

const DIGITS = Buffer.from('123456789')
const OF_DIGITS: Readonly<Record<Algorithm, string>> = {
  sha256: '15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225',
  sha1: 'f7c3bc1d808e04732adf679965ccc34ca7ae3441',
  md5: '25f9e794323b453885f5181f1b624d0b',
  crc32: 'cbf43926',
  crc32c: 'e3069283',
  crc64nvme: 'ae8b14860a799888',
  xxh3: '72a35b85c5a6e6ac',
}

describe('put({ checksums })', () => {
  test('records those that it names, and SHA-256', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { sync: false })
    const put = await store.put(DIGITS, { key: 'digits', checksums: ALGORITHMS })
    expect(put.checksums).toMatchObject({ ...OF_DIGITS, xxh3: expect.stringMatching(/^[0-9a-f]{16}$/) })
    expect((await store.stat('digits'))?.checksums).toEqual(put.checksums)
  })

  test('and those that the store computes of every blob', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { sync: false, checksums: ['md5'] })
    const put = await store.put(DIGITS, { key: 'digits', checksums: ['crc32c', 'md5'] })
    const { sha256, md5, crc32c } = OF_DIGITS
    expect(put.checksums).toEqual({ sha256, md5, crc32c })
  })

  test('of a blob that lacks them adds them to those that it has', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { sync: false })
    await store.put(DIGITS, { key: 'digits', checksums: ['crc32'] })
    await store.put(DIGITS, { key: 'other', checksums: ['crc64nvme'] })
    const { sha256, crc32, crc64nvme } = OF_DIGITS
    expect((await store.stat('digits'))?.checksums).toEqual({ sha256, crc32, crc64nvme })
    await store.put(DIGITS, { key: 'other' })
    expect((await store.stat('other'))?.checksums).toEqual({ sha256, crc32, crc64nvme })
  })

  test('of a large stream computes them in the pass that stages it', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { sync: false })
    const chunk = Buffer.alloc(100_000, 'chunk')
    let passes = 0
    const source = async function* () {
      passes++
      for (let i = 0; i < 5; i++) yield chunk
    }
    const { checksums } = await store.put(source(), { checksums: ['md5'] })
    const md5 = createHash('md5')
    for (let i = 0; i < 5; i++) md5.update(chunk)
    expect({ passes, md5: checksums.md5 }).toEqual({ passes: 1, md5: md5.digest('hex') })
  })

  test('of an unknown one is refused before the source is read', async () => {
    await using dir = await temp()
    await using store = await openAt(dir.path, { sync: false })
    let isRead = false
    const source = (function* () {
      isRead = true
      yield DIGITS
    })()
    await expect(store.put(source, { checksums: ['crc32d' as Algorithm] })).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('did you mean "crc32"?'),
    })
    expect(isRead).toBe(false)
  })
})

test('verify() shows the checksums of each blob', async () => {
  await using dir = await temp()
  await using store = await openAt(dir.path)
  await store.put(DIGITS, { key: 'digits', backends: ['a'], checksums: ['crc32c'] })
  await store.synced()
  const { sha256, crc32c } = OF_DIGITS
  expect(await collect(store.verify())).toMatchObject([{ state: 'synced', checksums: { sha256, crc32c } }])
})

test('a configuration may name all of them', () => {
  const schema = JSON.parse(readFileSync(new URL('../stored.schema.json', import.meta.url), 'utf8'))
  expect(schema.properties.checksums.items.enum).toEqual([...ALGORITHMS])
})
