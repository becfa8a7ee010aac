import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PartReader, partSizeFor } from './parts.ts'

const MIB = 1 << 20

async function* bodyOf(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks
}

describe('partSizeFor', () => {
  it('stays within 10,000 parts of at most 5 GiB, up to 5 TiB', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 5 * 2 ** 40 }),
        fc.integer({ min: 5 * MIB, max: 5120 * MIB }),
        (size, least) => {
          const partSize = partSizeFor(size, least)
          expect(partSize).toBeGreaterThanOrEqual(least)
          expect(partSize).toBeLessThanOrEqual(5120 * MIB)
          expect(Math.ceil(size / partSize)).toBeLessThanOrEqual(10_000)
        },
      ),
    )
  })

  it('uses large parts if the size is unknown', () => {
    expect(partSizeFor(undefined, 8 * MIB)).toBe(64 * MIB)
  })
})

describe('PartReader', () => {
  it('yields the body in full buffers, except the last', async () => {
    const chunks = fc.array(fc.uint8Array({ maxLength: 20 }), { maxLength: 20 })
    await fc.assert(
      fc.asyncProperty(chunks, fc.integer({ min: 1, max: 16 }), async (body, size) => {
        const reader = new PartReader(bodyOf(body))
        const parts: Buffer[] = []
        for (let filled = size; filled === size; ) {
          const buffer = Buffer.alloc(size)
          filled = await reader.fill(buffer)
          parts.push(buffer.subarray(0, filled))
        }
        expect(Buffer.concat(parts)).toEqual(Buffer.concat(body))
        expect(parts.slice(0, -1).every(({ length }) => length === size)).toBe(true)
      }),
    )
  })

  it('end() rejects with SIZE_MISMATCH if the body continues', async () => {
    const reader = new PartReader(bodyOf([Buffer.from('abc'), Buffer.from('d')]))
    await reader.fill(Buffer.alloc(3))
    await expect(reader.end()).rejects.toMatchObject({ code: 'SIZE_MISMATCH' })
  })
})
