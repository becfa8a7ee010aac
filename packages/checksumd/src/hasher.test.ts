import { createHash } from 'node:crypto'
import { xxh3 } from '@node-rs/xxhash'
import { ALGORITHMS, type Algorithm, type Digests } from '@stored/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { checksums } from './hasher.ts'

const ALL = ALGORITHMS

async function digestsOf(chunks: Iterable<Uint8Array>, algorithms: readonly Algorithm[] = ALL): Promise<Digests> {
  const hasher = await checksums.hasher(algorithms)
  for (const chunk of chunks) hasher.update(chunk)
  return hasher.digest()
}

/** Cuts `bytes` at `places`, which may repeat: then a chunk is empty. */
function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const ends = [...places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
  return ends.map((end, i) => bytes.subarray(i === 0 ? 0 : ends[i - 1], end))
}

describe('known answers', () => {
  test('of no bytes', async () => {
    expect(await digestsOf([])).toEqual({
      sha256: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', // FIPS 180-4
      sha1: 'da39a3ee5e6b4b0d3255bfef95601890afd80709',
      md5: 'd41d8cd98f00b204e9800998ecf8427e', // RFC 1321 section A.5
      crc32: '00000000',
      crc32c: '00000000',
      crc64nvme: '0000000000000000',
      xxh3: '2d06800538d394c2', // xxhsum -H3 < /dev/null
    })
  })

  test('of "abc"', async () => {
    expect(await digestsOf([Buffer.from('abc')])).toMatchObject({
      sha256: 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
      sha1: 'a9993e364706816aba3e25717850c26c9cd0d89d',
      md5: '900150983cd24fb0d6963f7d28e17f72',
      xxh3: '78af5f94892f3950',
    })
  })

  // The check value of each, as the catalogues of CRCs have it; crc32: RFC 1952, crc32c: RFC 3720, crc64nvme: the NVM Command Set.
  test('of "123456789"', async () => {
    expect(await digestsOf([Buffer.from('123456789')])).toMatchObject({
      crc32: 'cbf43926',
      crc32c: 'e3069283',
      crc64nvme: 'ae8b14860a799888',
    })
  })

  // RFC 3720 section B.4 shows them byte by byte, the last one first.
  test.each([
    ['32 bytes of zeros', Buffer.alloc(32), '8a9136aa'],
    ['32 bytes of ones', Buffer.alloc(32, 0xff), '62a8ab43'],
    ['32 bytes that count up', Buffer.from(Array.from({ length: 32 }, (_, i) => i)), '46dd794e'],
    ['32 bytes that count down', Buffer.from(Array.from({ length: 32 }, (_, i) => 31 - i)), '113fdb5c'],
  ])('crc32c of %s', async (_, bytes, expected) => {
    expect((await digestsOf([bytes])).crc32c).toBe(expected)
  })

  test.each([
    ['zeros', 0x00, '6482d367eb22b64e'],
    ['ones', 0xff, 'c0ddba7302eca3ac'],
  ])('crc64nvme of a sector of 4096 bytes of %s', async (_, byte, expected) => {
    expect((await digestsOf([Buffer.alloc(4096, byte)])).crc64nvme).toBe(expected)
  })

  test.each<[Algorithm, number]>([
    ['crc32', 8],
    ['crc32c', 8],
    ['crc64nvme', 16],
    ['xxh3', 16],
  ])('%s keeps its leading zeros: %d digits', async (algorithm, digits) => {
    const found = new Set<boolean>()
    for (let n = 0; n < 200; n++) {
      const digest = (await digestsOf([Buffer.from(String(n))], [algorithm]))[algorithm]
      expect(digest).toMatch(new RegExp(`^[0-9a-f]{${digits}}$`))
      found.add(digest?.startsWith('0') ?? false)
    }
    expect(found).toContain(true)
  })
})

/** A CRC by its definition, a bit at a time. @param polynomial Reversed. */
function crcOf(bytes: Uint8Array, polynomial: bigint, bits: 32 | 64): string {
  const ones = (1n << BigInt(bits)) - 1n
  let crc = ones
  for (const byte of bytes) {
    crc ^= BigInt(byte)
    for (let bit = 0; bit < 8; bit++) crc = crc & 1n ? (crc >> 1n) ^ polynomial : crc >> 1n
  }
  return (crc ^ ones).toString(16).padStart(bits / 4, '0')
}

test('how bytes are cut into chunks changes no digest', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ maxLength: 2_000 }),
      fc.array(fc.nat(), { maxLength: 8 }),
      async (bytes, places) => {
        expect(await digestsOf(cut(bytes, places))).toEqual({
          sha256: createHash('sha256').update(bytes).digest('hex'),
          sha1: createHash('sha1').update(bytes).digest('hex'),
          md5: createHash('md5').update(bytes).digest('hex'),
          crc32: crcOf(bytes, 0xedb88320n, 32),
          crc32c: crcOf(bytes, 0x82f63b78n, 32),
          crc64nvme: crcOf(bytes, 0x9a6c9329ac4bc9b5n, 64),
          xxh3: xxh3.xxh64(bytes).toString(16).padStart(16, '0'),
        })
      },
    ),
    { numRuns: 50 },
  )
})

test('passes that take turns do not disturb each other', async () => {
  const texts = ['one', 'another', '']
  const hashers = await Promise.all(texts.map(() => checksums.hasher(ALL)))
  for (let i = 0; i < 7; i++)
    for (const [n, text] of texts.entries()) if (i < text.length) hashers[n]?.update(Buffer.from(text.charAt(i)))
  for (const [n, text] of texts.entries()) expect(hashers[n]?.digest()).toEqual(await digestsOf([Buffer.from(text)]))
})

test('a chunk may be overwritten as soon as update() returned', async () => {
  const hasher = await checksums.hasher(ALL)
  const chunk = Buffer.from('abc')
  hasher.update(chunk)
  chunk.fill('x')
  expect(hasher.digest()).toEqual(await digestsOf([Buffer.from('abc')]))
})

test.each<{ asked: Algorithm[]; given: Algorithm[] }>([
  { asked: [], given: ['sha256'] },
  { asked: ['sha256'], given: ['sha256'] },
  { asked: ['md5'], given: ['sha256', 'md5'] },
  { asked: ['xxh3', 'sha1', 'xxh3'], given: ['sha256', 'xxh3', 'sha1'] },
])('hasher($asked) answers $given', async ({ asked, given }) => {
  expect(Object.keys(await digestsOf([], asked)).sort()).toEqual(given.sort())
})

test('hasher() of an unknown algorithm throws INVALID_ARGUMENT and names the nearest', () => {
  expect(() => checksums.hasher(['sha265' as Algorithm])).toThrow(
    expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining('"sha256"') }),
  )
  expect(() => checksums.hasher(['toString' as Algorithm])).toThrow(
    expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
  )
})
