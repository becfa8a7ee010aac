import { createHash } from 'node:crypto'
import { xxh3 } from '@node-rs/xxhash'
import type { Algorithm, Digests } from '@stored/core'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { checksums } from './hasher.ts'

const ALL: readonly Algorithm[] = ['sha256', 'sha1', 'md5', 'xxh3']

function digestsOf(chunks: Iterable<Uint8Array>, algorithms: readonly Algorithm[] = ALL): Digests {
  const hasher = checksums.hasher(algorithms)
  for (const chunk of chunks) hasher.update(chunk)
  return hasher.digest()
}

/** Cuts `bytes` at `places`, which may repeat: then a chunk is empty. */
function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const ends = [...places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
  return ends.map((end, i) => bytes.subarray(i === 0 ? 0 : ends[i - 1], end))
}

describe('known answers', () => {
  test('of no bytes', () => {
    expect(digestsOf([])).toEqual({
      sha256: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', // FIPS 180-4
      sha1: 'da39a3ee5e6b4b0d3255bfef95601890afd80709',
      md5: 'd41d8cd98f00b204e9800998ecf8427e', // RFC 1321 section A.5
      xxh3: '2d06800538d394c2', // xxhsum -H3 < /dev/null
    })
  })

  test('of "abc"', () => {
    expect(digestsOf([Buffer.from('abc')])).toEqual({
      sha256: 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
      sha1: 'a9993e364706816aba3e25717850c26c9cd0d89d',
      md5: '900150983cd24fb0d6963f7d28e17f72',
      xxh3: '78af5f94892f3950',
    })
  })

  test('xxh3 keeps its leading zeros', () => {
    const bytes = leadingZero()
    expect(digestsOf([bytes]).xxh3).toMatch(/^0[0-9a-f]{15}$/)
  })
})

/** The first small number whose XXH3 begins with a zero digit: one in sixteen does. */
function leadingZero(): Uint8Array {
  for (let n = 0; ; n++) {
    const bytes = Buffer.from(String(n))
    if (xxh3.xxh64(bytes) >> 60n === 0n) return bytes
  }
}

test('how bytes are cut into chunks changes no digest', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2_000 }), fc.array(fc.nat(), { maxLength: 8 }), (bytes, places) => {
      expect(digestsOf(cut(bytes, places))).toEqual({
        sha256: createHash('sha256').update(bytes).digest('hex'),
        sha1: createHash('sha1').update(bytes).digest('hex'),
        md5: createHash('md5').update(bytes).digest('hex'),
        xxh3: xxh3.xxh64(bytes).toString(16).padStart(16, '0'),
      })
    }),
  )
})

test('a chunk may be overwritten as soon as update() returned', () => {
  const hasher = checksums.hasher(ALL)
  const chunk = Buffer.from('abc')
  hasher.update(chunk)
  chunk.fill('x')
  expect(hasher.digest()).toEqual(digestsOf([Buffer.from('abc')]))
})

test.each<{ asked: Algorithm[]; given: Algorithm[] }>([
  { asked: [], given: ['sha256'] },
  { asked: ['sha256'], given: ['sha256'] },
  { asked: ['md5'], given: ['sha256', 'md5'] },
  { asked: ['xxh3', 'sha1', 'xxh3'], given: ['sha256', 'xxh3', 'sha1'] },
])('hasher($asked) answers $given', ({ asked, given }) => {
  expect(Object.keys(digestsOf([], asked)).sort()).toEqual(given.sort())
})

test('hasher() of an unknown algorithm throws INVALID_ARGUMENT and names the nearest', () => {
  expect(() => checksums.hasher(['sha265' as Algorithm])).toThrow(
    expect.objectContaining({ code: 'INVALID_ARGUMENT', message: expect.stringContaining('"sha256"') }),
  )
  expect(() => checksums.hasher(['toString' as Algorithm])).toThrow(
    expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
  )
})
