import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PartReader, partSizeFor } from './parts.ts'

const MIB = 1 << 20

async function* bodyOf(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks
}

describe('partSizeFor', () => {
  it('keeps to at most 10,000 parts of at most 5 GiB, up to 5 TiB', () => {
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

  it('takes large parts where the size is not known', () => {
    expect(partSizeFor(undefined, 8 * MIB)).toBe(64 * MIB)
  })
})

describe('PartReader', () => {
  it('gives the bytes of the body in full buffers, the last one apart', async () => {
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

  it('end() rejects with SIZE_MISMATCH when the body goes on', async () => {
    const reader = new PartReader(bodyOf([Buffer.from('abc'), Buffer.from('d')]))
    await reader.fill(Buffer.alloc(3))
    await expect(reader.end()).rejects.toMatchObject({ code: 'SIZE_MISMATCH' })
  })
})
