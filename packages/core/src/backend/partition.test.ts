import fc from 'fast-check'
import { expect, test } from 'vitest'
import { partition } from './partition.ts'

async function* chunks(...sizes: number[]): AsyncGenerator<Uint8Array> {
  let next = 0
  for (const size of sizes) yield Uint8Array.from({ length: size }, () => next++ % 251)
}

test('partition() cuts any body into equal parts and a rest, without losing or adding a byte', async () => {
  const property = fc.asyncProperty(
    fc.array(fc.integer({ min: 0, max: 40 }), { maxLength: 10 }),
    fc.integer({ min: 1, max: 25 }),
    async (sizes, partSize) => {
      const whole = Buffer.concat(await Array.fromAsync(chunks(...sizes)))
      const parts = await Array.fromAsync(partition(chunks(...sizes), partSize))
      expect(Buffer.concat(parts).equals(whole)).toBe(true)
      expect(parts.slice(0, -1).every((part) => part.byteLength === partSize)).toBe(true)
      expect(parts.every((part) => part.byteLength > 0)).toBe(true)
    },
  )
  await fc.assert(property)
})

test('partition() of an empty body has no parts', async () => {
  expect(await Array.fromAsync(partition(chunks(0, 0), 4))).toEqual([])
})

test('parts have their own buffers, even if the source reuses its buffer', async () => {
  async function* reusing(): AsyncGenerator<Uint8Array> {
    const buffer = new Uint8Array(2)
    for (const byte of [1, 2, 3]) yield buffer.fill(byte)
  }
  const parts = await Array.fromAsync(partition(reusing(), 2))
  expect(parts.map((part) => part[0])).toEqual([1, 2, 3])
})

test('leaving early releases the body', async () => {
  let released = false
  async function* source(): AsyncGenerator<Uint8Array> {
    try {
      while (true) yield new Uint8Array(3)
    } finally {
      released = true
    }
  }
  for await (const part of partition(source(), 2)) if (part) break
  expect(released).toBe(true)
})

test.each([0, -1, 1.5, Number.NaN])('a part size of %d rejects with INVALID_ARGUMENT', async (partSize) => {
  await expect(partition(chunks(1), partSize).next()).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
})
