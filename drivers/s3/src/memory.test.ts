import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { type Loan, Memory } from './memory.ts'

const MIB = 1 << 20
const { signal } = new AbortController()

afterEach(() => {
  vi.useRealTimers()
})

/** The state of `taking`, once everything has happened that does not depend on others. */
async function stateOf(taking: Promise<Loan>): Promise<Loan | 'waits'> {
  return Promise.race([taking, new Promise<'waits'>((resolve) => setImmediate(resolve, 'waits'))])
}

describe('take', () => {
  it('waits until there is room, first come, first served', async () => {
    const memory = new Memory(3 * MIB)
    const first = await memory.take(2 * MIB, signal)
    const large = memory.take(3 * MIB, signal)
    // There is room for it, but large requests would never get any.
    const small = memory.take(1, signal)
    expect(await stateOf(small)).toBe('waits')
    first.give()
    const second = await large
    expect(await stateOf(small)).toBe('waits')
    second[Symbol.dispose]()
    expect((await small).buffer).toHaveLength(1)
  })

  it('of more than the limit gets all of it, alone', async () => {
    const memory = new Memory(MIB)
    const small = await memory.take(1, signal)
    const large = memory.take(2 * MIB, signal)
    expect(await stateOf(large)).toBe('waits')
    small.give()
    expect((await large).buffer).toHaveLength(2 * MIB)
    expect(await stateOf(memory.take(1, signal))).toBe('waits')
  })

  it('that is aborted rejects at once, and lets those behind it pass', async () => {
    const memory = new Memory(3 * MIB)
    const abort = new AbortController()
    await memory.take(2 * MIB, signal)
    const large = memory.take(3 * MIB, abort.signal)
    const small = memory.take(MIB, signal)
    abort.abort(new Error('stop'))
    await expect(large).rejects.toThrow('stop')
    expect((await small).buffer).toHaveLength(MIB)
    await expect(memory.take(1, abort.signal)).rejects.toThrow('stop')
  })

  it('reports every second that it waits, and not afterwards', async () => {
    vi.useFakeTimers()
    const memory = new Memory(1)
    const onWait = vi.fn()
    const first = await memory.take(1, signal, onWait)
    const second = memory.take(1, signal, onWait)
    await vi.advanceTimersByTimeAsync(2_500)
    expect(onWait).toHaveBeenCalledTimes(2)
    first.give()
    await second
    await vi.advanceTimersByTimeAsync(10_000)
    expect(onWait).toHaveBeenCalledTimes(2)
  })

  it('lends a returned buffer again, but never one that may still be read', async () => {
    const memory = new Memory(4 * MIB)
    const first = await memory.take(2 * MIB, signal)
    const { buffer } = first.buffer
    first.give()
    const second = await memory.take(2 * MIB - 1, signal)
    expect(second.buffer.buffer).toBe(buffer)
    second[Symbol.dispose]()
    expect((await memory.take(2 * MIB, signal)).buffer.buffer).not.toBe(buffer)
  })

  it('keeps returned buffers for four seconds', async () => {
    vi.useFakeTimers()
    const memory = new Memory(4 * MIB)
    const first = await memory.take(2 * MIB, signal)
    const { buffer } = first.buffer
    first.give()
    await vi.advanceTimersByTimeAsync(4_000)
    expect((await memory.take(2 * MIB, signal)).buffer.buffer).not.toBe(buffer)
  })

  it('never lends more than its limit, and all of it again, whether loans are returned, fail or are aborted', async () => {
    const step = fc.record({
      // Zero bytes take no room, even beside a loan above the limit.
      bytes: fc.integer({ min: 1, max: 6 * MIB }),
      end: fc.constantFrom('give', 'dispose', 'both'),
      aborts: fc.boolean(),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
        const limit = 4 * MIB
        const memory = new Memory(limit)
        let lent = 0
        await Promise.all(
          steps.map(async ({ bytes, end, aborts }) => {
            const abort = new AbortController()
            const taking = memory.take(bytes, abort.signal)
            if (aborts) setImmediate(() => abort.abort(new Error('stop')))
            const loan = await taking.catch(() => null)
            if (loan === null) return
            lent += bytes
            expect(lent <= limit || lent === bytes).toBe(true)
            await new Promise(setImmediate)
            lent -= bytes
            if (end !== 'dispose') loan.give()
            if (end !== 'give') loan[Symbol.dispose]()
          }),
        )
        expect((await memory.take(limit, signal)).buffer).toHaveLength(limit)
      }),
      { numRuns: 50 },
    )
  })
})
