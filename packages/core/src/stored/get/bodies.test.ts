import { describe, expect, it } from 'vitest'
import { readAhead } from './bodies.ts'

const CHUNK_BYTES = 40_000
const MOST_BYTES = 65_536

/** A copy of `chunks` chunks that says it is empty. */
function copyOf(chunks: number) {
  const seen = { read: 0, freed: 0 }
  async function* body() {
    for (; seen.read < chunks; seen.read++) yield Buffer.alloc(CHUNK_BYTES, seen.read)
  }
  return { seen, opened: { size: 0, body: body(), [Symbol.asyncDispose]: async () => void seen.freed++ } }
}

async function sizeOf(body: AsyncIterable<Uint8Array>): Promise<number> {
  let size = 0
  for await (const chunk of body) size += chunk.length
  return size
}

describe('readAhead()', () => {
  it('reads a short body to its end, frees the copy, and gives out all of it', async () => {
    const { seen, opened } = copyOf(1)
    const { size, body } = await readAhead(opened, MOST_BYTES)
    expect({ ...seen, size }).toEqual({ read: 1, freed: 1, size: CHUNK_BYTES })
    expect(await sizeOf(body)).toBe(CHUNK_BYTES)
  })

  it('holds no more of a body that is longer than its copy says, and gives out all of it', async () => {
    const { seen, opened } = copyOf(5)
    const { body } = await readAhead(opened, MOST_BYTES)
    expect(seen).toEqual({ read: 1, freed: 0 })
    expect(await sizeOf(body)).toBe(5 * CHUNK_BYTES)
    expect(seen).toEqual({ read: 5, freed: 1 })
  })

  it('frees the copy of a longer body that is left half-way', async () => {
    const { seen, opened } = copyOf(5)
    const { body } = await readAhead(opened, MOST_BYTES)
    let left = 3
    for await (const _ of body) if (--left === 0) break
    expect(seen.freed).toBe(1)
  })

  it('rejects with what a short body fails with', async () => {
    const { opened } = copyOf(0)
    async function* torn(): AsyncGenerator<Uint8Array> {
      yield Buffer.alloc(CHUNK_BYTES)
      throw new Error('torn')
    }
    await expect(readAhead({ ...opened, body: torn() }, MOST_BYTES)).rejects.toThrow('torn')
  })
})
