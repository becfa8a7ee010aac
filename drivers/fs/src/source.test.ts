import { setImmediate } from 'node:timers/promises'
import { describe, expect, it, vi } from 'vitest'
import { interruptible } from './source.ts'

const at = { backend: 'fs', op: 'put' }

async function* numbers(count: number, released = () => {}): AsyncGenerator<Uint8Array> {
  try {
    for (let i = 0; i < count; i++) yield Uint8Array.of(i)
  } finally {
    released()
  }
}

describe('interruptible()', () => {
  it('yields the chunks of the source, and removes its listeners', async () => {
    const { signal } = new AbortController()
    const remove = vi.spyOn(signal, 'removeEventListener')
    expect(await Array.fromAsync(interruptible(numbers(3), [signal], at), ([n]) => n)).toEqual([0, 1, 2])
    expect(remove).toHaveBeenCalledOnce()
  })

  it('with an aborted signal does not ask the source', async () => {
    const next = vi.fn()
    const source = { [Symbol.asyncIterator]: () => ({ next }) }
    const reason = new Error('enough')
    await expect(interruptible(source, [AbortSignal.abort(reason)], at).next()).rejects.toBe(reason)
    expect(next).not.toHaveBeenCalled()
  })

  it('rejects with the reason of a signal that aborts while the source is silent', async () => {
    const abort = new AbortController()
    const source = { [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}) }) }
    const next = interruptible(source, [new AbortController().signal, abort.signal], at).next()
    await setImmediate()
    abort.abort('enough')
    await expect(next).rejects.toBe('enough')
  })

  it('releases the source once if it is left', async () => {
    const released = vi.fn()
    for await (const _ of interruptible(numbers(3, released), [], at)) break
    await setImmediate()
    expect(released).toHaveBeenCalledOnce()
  })
})
