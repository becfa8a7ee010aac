import { setImmediate } from 'node:timers/promises'
import { StorageError } from '@stored/core/backend'
import fc from 'fast-check'
import { beforeEach, describe, expect, test } from 'vitest'
import { Room, type Share } from './room.ts'

const NEVER = new AbortController().signal
const FULL = { code: 'STAGING_FULL', retryable: true }

let kept: number
let room: Room
beforeEach(() => {
  kept = 0
  room = new Room({ limit: 100, highWater: 75, kept: () => kept })
})

const share = (whenFull: 'wait' | 'refuse' = 'wait', signal = NEVER) => room.share({ signal, whenFull })
/** A receiver that is in. */
async function holding(bytes: number): Promise<Share> {
  const one = share()
  await one.require(bytes)
  return one
}
const release = (bytes: number) => {
  kept -= bytes
  room.recheck()
}
/** Notes when it got in. */
function ask(order: string[], name: string, bytes: number, one = share()): Promise<unknown> {
  return Promise.resolve(one.require(bytes)).then(
    () => order.push(name),
    (error: StorageError) => order.push(`${name}: ${error.code}`),
  )
}

describe('require()', () => {
  test('of what fits answers at once', () => {
    expect(share().require(100)).toBeNull()
    expect(room.used).toBe(100)
  })

  test('of what is held already answers at once', async () => {
    const one = await holding(100)
    expect(one.require(60)).toBeNull()
    expect(room.used).toBe(100)
  })

  test('of no bytes answers at once, however full it is', () => {
    kept = 200
    expect(share().require(0)).toBeNull()
  })

  test('waits until kept bytes leave', async () => {
    kept = 60
    const order: string[] = []
    const waiting = ask(order, 'in', 50)
    await setImmediate()
    expect(order).toEqual([])
    release(60)
    await waiting
    expect(order).toEqual(['in'])
  })

  test('waits until another receiver gives back what it holds', async () => {
    const other = await holding(60)
    const waiting = share().require(50)
    other.trim(50)
    await waiting
    expect(room.used).toBe(100)
  })

  test('lets in who came first: small ones do not overtake a large one', async () => {
    kept = 50
    const order: string[] = []
    const all = [ask(order, 'large', 80), ask(order, 'small', 10), ask(order, 'smaller', 1)]
    await setImmediate()
    expect(order).toEqual([])
    release(50)
    await Promise.all(all)
    expect(order).toEqual(['large', 'small', 'smaller'])
  })

  test('lets in who holds some before who holds none', async () => {
    const grower = await holding(40)
    kept = 60
    const order: string[] = []
    const first = ask(order, 'first', 40)
    const second = ask(order, 'grower', 50, grower)
    release(30)
    await second
    release(30)
    await first
    expect(order).toEqual(['grower', 'first'])
  })

  test('lets nobody new in while one who holds some waits, however little it needs', async () => {
    const grower = await holding(40)
    kept = 50
    const order: string[] = []
    const first = ask(order, 'grower', 60, grower)
    const second = ask(order, 'new', 5)
    await setImmediate()
    expect(order).toEqual([])
    release(30)
    await Promise.all([first, second])
    expect(order).toEqual(['grower', 'new'])
  })

  test('of more than all there is rejects at once, and is not to be repeated', () => {
    const rejected = expect.objectContaining({ code: 'STAGING_FULL', retryable: false })
    expect(() => share().require(101)).toThrow(rejected)
  })

  test('grown to more than all there is rejects at once', async () => {
    const one = await holding(60)
    expect(() => one.require(101)).toThrow(expect.objectContaining({ code: 'STAGING_FULL', retryable: false }))
  })

  test('that is not to wait rejects, also behind somebody who waits', () => {
    kept = 90
    expect(() => share('refuse').require(20)).toThrow(expect.objectContaining(FULL))
    void share().require(20)
    expect(() => share('refuse').require(5)).toThrow(expect.objectContaining(FULL))
  })

  test('by receivers that all wait for each other rejects the last of them, and goes on with the first', async () => {
    const order: string[] = []
    const [a, b, c] = [await holding(30), await holding(30), await holding(30)]
    const all = [ask(order, 'a', 50, a), ask(order, 'b', 50, b)]
    await setImmediate()
    expect(order).toEqual([])
    await ask(order, 'c', 50, c)
    expect(order).toEqual(['c: STAGING_FULL'])
    c.trim(0)
    await all[0]
    a.trim(0)
    await all[1]
    expect(order).toEqual(['c: STAGING_FULL', 'a', 'b'])
  })

  test('by receivers that wait for each other waits for kept bytes, if these would do', async () => {
    const [a, b] = [await holding(30), await holding(30)]
    kept = 40
    const all = [a.require(50), b.require(50)]
    release(40)
    await all[0]
    a.trim(0)
    await all[1]
  })
})

describe('abort', () => {
  test('while waiting rejects with the reason and lets in who comes next', async () => {
    kept = 50
    const abort = new AbortController()
    const large = share('wait', abort.signal).require(80)
    const small = share().require(10)
    abort.abort('enough')
    await expect(large).rejects.toBe('enough')
    await small
    expect(room.used).toBe(60)
  })

  test('of all at once rejects all, and nothing is held', async () => {
    kept = 100
    const abort = new AbortController()
    const shares = [share('wait', abort.signal), share('wait', abort.signal)]
    const all = Promise.allSettled(shares.map((one) => one.require(20)))
    kept = 85
    abort.abort('enough')
    for (const outcome of await all) expect(outcome).toMatchObject({ status: 'rejected', reason: 'enough' })
    for (const one of shares) one.trim(0)
    expect(room.used).toBe(85)
  })

  test('before it would wait rejects', async () => {
    kept = 100
    await expect(share('wait', AbortSignal.abort('enough')).require(1)).rejects.toBe('enough')
  })
})

describe('excess', () => {
  test('is what lies above the high-water mark', () => {
    kept = 75
    expect(room.excess).toBe(0)
    void share().require(5)
    expect(room.excess).toBe(5)
  })

  test('is what the first who waits lacks', () => {
    kept = 60
    void share().require(50)
    expect(room.excess).toBe(10)
  })

  test('is what the last that was refused lacked, until there is room for it', () => {
    kept = 60
    expect(() => share('refuse').require(50)).toThrow()
    expect(room.excess).toBe(10)
    kept = 50
    expect(room.excess).toBe(0)
    kept = 60
    expect(room.excess).toBe(0)
  })
})

test('onFull() hears of each who finds no room, and again with recheck() while one waits', () => {
  kept = 100
  let heard = 0
  const end = room.onFull(() => heard++)
  void share().require(1)
  expect(heard).toBe(1)
  room.recheck()
  expect(heard).toBe(2)
  expect(() => share('refuse').require(1)).toThrow()
  expect(heard).toBe(3)
  release(100)
  expect(heard).toBe(3)
  end()
  expect(() => share('refuse').require(100)).toThrow()
  expect(heard).toBe(3)
})

test('close() rejects all who wait, and who would', async () => {
  const grower = await holding(50)
  kept = 50
  const all = [grower.require(60), share().require(1)]
  room.close(new StorageError('CLOSED', { op: 'put' }))
  for (const one of all) await expect(one).rejects.toMatchObject({ code: 'CLOSED' })
  expect(() => share().require(1)).toThrow(expect.objectContaining({ code: 'CLOSED' }))
})

const receiver = fc.record({
  chunks: fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 4 }),
  isKnown: fc.boolean(),
  isDiscarded: fc.boolean(),
  abortsAt: fc.option(fc.nat(4)),
})
type Receiver = typeof receiver extends fc.Arbitrary<infer T> ? T : never

test('however receivers, releases and aborts come together: all end, none goes beyond the limit, and only puts of unknown size are refused', async () => {
  const run = async (s: fc.Scheduler, { chunks, isKnown, isDiscarded, abortsAt }: Receiver): Promise<string> => {
    const abort = new AbortController()
    const one = share('wait', abort.signal)
    const total = chunks.reduce((sum, chunk) => sum + chunk, 0)
    if (abortsAt !== null) void s.schedule(Promise.resolve(), `abort ${abortsAt}`).then(() => abort.abort('aborted'))
    let size = 0
    try {
      await one.require(isKnown ? total : 0)
      for (const chunk of chunks) {
        await s.schedule(Promise.resolve(), 'chunk')
        size += chunk
        await one.require(size)
        expect(room.used).toBeLessThanOrEqual(100)
        expect(one.bytes).toBeGreaterThanOrEqual(size)
      }
    } catch (error) {
      one.trim(0)
      if (error === 'aborted') return error
      expect(error).toMatchObject({ code: 'STAGING_FULL' })
      return isKnown && total <= 100 ? 'refused although it would fit' : 'refused'
    }
    if (isDiscarded) return ends(one, 'discarded')
    kept += size
    void s.schedule(Promise.resolve(), 'release').then(() => release(size))
    return ends(one, 'kept')
  }
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), fc.array(receiver, { minLength: 1, maxLength: 8 }), async (s, receivers) => {
      kept = 0
      room = new Room({ limit: 100, highWater: 75, kept: () => kept })
      const outcomes: string[] = []
      for (const one of receivers) void run(s, one).then((outcome) => outcomes.push(outcome))
      do {
        await s.waitAll()
        await setImmediate()
      } while (s.count() > 0)
      expect(outcomes).toHaveLength(receivers.length)
      expect(outcomes).not.toContain('refused although it would fit')
      expect(room.used).toBe(0)
    }),
    { numRuns: 1000 },
  )
})

function ends(one: Share, how: string): string {
  one.trim(0)
  return how
}
