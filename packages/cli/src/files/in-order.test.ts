import { describe, expect, it } from 'vitest'
import { inOrder } from './in-order.ts'

async function* upTo(count: number, taken: number[] = []): AsyncGenerator<number> {
  for (let i = 0; i < count; i++) {
    taken.push(i)
    yield i
  }
}

describe('inOrder()', () => {
  it('yields in the order of the items, whichever finishes first', async () => {
    const work = async (item: number) => {
      for (let i = 0; i < (7 - (item % 7)) * 3; i++) await null
      return item
    }
    expect(await Array.fromAsync(inOrder(upTo(50), 4, work))).toEqual(Array.from({ length: 50 }, (_, i) => i))
  })

  it('takes no more items than may be in flight', async () => {
    const taken: number[] = []
    let done = 0
    for await (const _ of inOrder(upTo(100, taken), 8, async (item) => item)) {
      done++
      expect(taken.length - done).toBeLessThan(8)
    }
    expect(done).toBe(100)
  })

  it('waits for items in flight when the consumer stops, and when work fails', async () => {
    let running = 0
    const work = async (item: number) => {
      running++
      for (let i = 0; i < 20; i++) await null
      running--
      if (item === 5) throw new Error('five')
      return item
    }
    for await (const _ of inOrder(upTo(100), 8, work)) break
    expect(running).toBe(0)
    await expect(Array.fromAsync(inOrder(upTo(100), 8, work))).rejects.toThrow('five')
    expect(running).toBe(0)
  })
})
