import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { payload, payloadStream, provenance, writerOf } from './payload.ts'
import { collect } from './source.ts'

const seed = fc.integer()
const writer = fc.nat(65_535)

describe('payload', () => {
  it('of a window equals that window of the whole', () => {
    fc.assert(
      fc.property(seed, writer, fc.nat(500), fc.nat(500), (seed, writer, offset, size) => {
        const whole = payload(seed, writer, offset + size)
        expect(Buffer.compare(payload(seed, writer, size, offset), whole.subarray(offset))).toBe(0)
      }),
    )
  })

  it('streamed in chunks is the same', async () => {
    const chunks = fc.integer({ min: 1, max: 100 })
    await fc.assert(
      fc.asyncProperty(seed, fc.nat(1_000), chunks, async (seed, size, chunkBytes) => {
        expect(Buffer.compare(await collect(payloadStream(seed, 1, size, chunkBytes)), payload(seed, 1, size))).toBe(0)
      }),
    )
  })

  it('identifies its writer, and its own offset at every byte', () => {
    fc.assert(
      fc.property(seed, writer, fc.nat(199), (seed, writer, index) => {
        const bytes = payload(seed, writer, 200)
        expect(writerOf(bytes)).toBe(writer)
        if (index < 192) expect(provenance(seed, bytes, index)).toBe(`what writer ${writer} wrote at ${index}`)
      }),
    )
  })

  it('still knows its offset beyond 4 GiB', () => {
    const at = 2 ** 32 + 64
    expect(provenance(1, payload(1, 3, 64, at), 5)).toBe(`what writer 3 wrote at ${at + 5}`)
  })

  it('with a byte changed belongs to no writer', () => {
    const bytes = payload(1, 3, 64)
    bytes[20] = (bytes[20] as number) ^ 1
    expect(provenance(1, bytes, 20)).toContain('in a block no writer wrote')
  })
})
