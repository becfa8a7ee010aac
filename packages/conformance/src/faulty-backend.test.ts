import { MemoryBackend, MemoryPlace, type Op, StorageError } from '@stored/core/backend'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { FaultyBackend, type FaultyOptions } from './faulty-backend.ts'
import { runConformance } from './runner.ts'
import { collect } from './source.ts'
import { once } from './subject.ts'

const op: Op = { signal: new AbortController().signal }
const BLOB = Buffer.from('0123456789')
const body = () => once(BLOB)

function faulty(options?: FaultyOptions) {
  const inner = new MemoryBackend()
  return { inner, backend: new FaultyBackend(inner, options) }
}

async function keys(backend: FaultyBackend, prefix = ''): Promise<string[]> {
  return (await Array.fromAsync(backend.list({ prefix, ...op }))).map(({ key }) => key)
}

describe('a FaultyBackend without faults', () => {
  it('passes every case that the backend behind it passes', async () => {
    const place = new MemoryPlace()
    const open = async () => new FaultyBackend(new MemoryBackend({ place }))
    const { failed } = await runConformance({ name: 'faulty', open })
    expect(failed.map(({ error }) => error.message)).toEqual([])
  })

  it('counts the calls of each method', async () => {
    const { backend } = faulty()
    await backend.put('k', body(), op)
    await backend.stat('k', op)
    await backend.stat('k', op)
    await keys(backend)
    expect(backend.calls).toMatchObject({ put: 1, stat: 2, list: 1, get: 0 })
  })
})

describe('error', () => {
  it('rejects with UNAVAILABLE, and nothing has happened', async () => {
    const { inner, backend } = faulty({ error: 1 })
    await expect(backend.put('k', body(), op)).rejects.toMatchObject({ code: 'UNAVAILABLE', ambiguous: false })
    expect(await inner.stat('k', op)).toBeNull()
  })

  it('affects the requested share of calls, and the same ones with the same seed', async () => {
    const fates = async () => {
      const { backend } = faulty({ error: 0.3, seed: 7 })
      const outcomes = []
      for (let i = 0; i < 200; i++) outcomes.push(await backend.stat('k', op).then(String, (error) => error.code))
      return { outcomes, errors: backend.faults.error }
    }
    const first = await fates()
    expect(first.errors).toBeGreaterThan(40)
    expect(first.errors).toBeLessThan(80)
    expect(await fates()).toEqual(first)
  })
})

describe('applied', () => {
  it('stores the blob, and rejects with an ambiguous UNAVAILABLE', async () => {
    const { inner, backend } = faulty({ applied: 1 })
    await expect(backend.put('k', body(), op)).rejects.toMatchObject({ code: 'UNAVAILABLE', ambiguous: true })
    expect(await inner.stat('k', op)).toMatchObject({ size: 10 })
    await expect(backend.delete('k', op)).rejects.toMatchObject({ ambiguous: true })
    expect(await inner.stat('k', op)).toBeNull()
  })
})

describe('partial', () => {
  it('stores part of the blob, and rejects with an ambiguous UNAVAILABLE', async () => {
    const { inner, backend } = faulty({ partial: 1 })
    await expect(backend.put('k', body(), { ...op, size: 10 })).rejects.toMatchObject({ ambiguous: true })
    expect((await inner.stat('k', op))?.size).toBeLessThan(10)
  })
})

describe('wrongBytes', () => {
  it('flips one bit of what is read, and not of what is stored', async () => {
    const { inner, backend } = faulty({ wrongBytes: 1 })
    await inner.put('k', body(), op)
    const read = await collect((await backend.get('k', op)).body)
    expect([...read].filter((byte, i) => byte !== BLOB[i])).toHaveLength(1)
    expect(await collect((await inner.get('k', op)).body)).toEqual(BLOB)
  })
})

describe('cut', () => {
  it('throws UNAVAILABLE part-way, and never just ends', async () => {
    const { inner, backend } = faulty({ cut: 1 })
    await inner.put('k', body(), op)
    const chunks: Uint8Array[] = []
    const read = async () => {
      for await (const chunk of (await backend.get('k', op)).body) chunks.push(chunk)
    }
    await expect(read()).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(Buffer.concat(chunks).length).toBeLessThan(10)
  })
})

describe('staleList', () => {
  it('lists the state before the latest changes: what was put is missing, what was deleted is there', async () => {
    const { inner, backend } = faulty({ staleList: 1 })
    await inner.put('old', body(), op)
    await inner.put('kept', body(), op)
    await backend.put('new', body(), op)
    await backend.delete('old', op)
    expect(await keys(backend)).toEqual(['kept', 'old'])
    expect(await keys(backend, 'o')).toEqual(['old'])
    backend.heal()
    expect(await keys(backend)).toEqual(['kept', 'new'])
  })
})

describe('rateLimited', () => {
  it('rejects a burst of calls with RATE_LIMITED and the time to wait', async () => {
    const { backend } = faulty({ rateLimited: 1, burst: 2, retryAfterMs: 50 })
    await expect(backend.stat('k', op)).rejects.toMatchObject({ code: 'RATE_LIMITED', retryAfterMs: 50 })
    backend.set({ rateLimited: 0 })
    await expect(backend.get('k', op)).rejects.toMatchObject({ code: 'RATE_LIMITED' })
    await expect(backend.stat('k', op)).resolves.toBeNull()
    expect(backend.faults.rateLimited).toBe(1)
  })
})

describe('hang', () => {
  it('does not answer until the signal aborts, and rejects with its reason', async () => {
    const { backend } = faulty({ hang: 1 })
    const abort = new AbortController()
    const settled = vi.fn()
    const stat = backend.stat('k', { signal: abort.signal })
    void stat.catch(settled)
    await new Promise(setImmediate)
    expect(settled).not.toHaveBeenCalled()
    abort.abort(new Error('enough'))
    await expect(stat).rejects.toThrow('enough')
  })
})

describe('duplicate', () => {
  it('puts twice, and returns the second result', async () => {
    const { inner, backend } = faulty({ duplicate: 1 })
    const put = vi.spyOn(inner, 'put')
    const stat = await backend.put('k', body(), op)
    expect(put).toHaveBeenCalledTimes(2)
    expect(await inner.stat('k', op)).toEqual(stat)
  })

  it('of a put with a condition changes nothing', async () => {
    const { inner, backend } = faulty({ duplicate: 1 })
    const stat = await backend.put('k', body(), { ...op, ifAbsent: true })
    expect(await inner.stat('k', op)).toEqual(stat)
  })
})

describe('slow', () => {
  it('lets that many bytes pass per second, in both directions', async () => {
    vi.useFakeTimers()
    onTestFinished(() => void vi.useRealTimers())
    const { backend } = faulty({ slow: 4 })
    const settled = vi.fn()
    const put = backend.put('k', body(), op).finally(settled)
    await vi.advanceTimersByTimeAsync(2_499)
    expect(settled).not.toHaveBeenCalled()
    await vi.advanceTimersByTimeAsync(1)
    await put
    const read = backend.get('k', op).then((got) => collect(got.body))
    await vi.advanceTimersByTimeAsync(2_500)
    expect(await read).toEqual(BLOB)
  })

  it('ends at once when the signal aborts', async () => {
    const { backend } = faulty({ slow: 1 })
    const abort = new AbortController()
    const put = backend.put('k', body(), { signal: abort.signal })
    abort.abort(new Error('enough'))
    await expect(put).rejects.toThrow('enough')
  })
})

describe('fail', () => {
  it('makes every call reject with the error, until it is lifted', async () => {
    const { backend } = faulty()
    const outage = new StorageError('UNAVAILABLE', { op: 'put' })
    backend.fail(outage)
    for (const call of [backend.put('k', body(), op), backend.get('k', op), backend.stat('k', op), keys(backend)])
      await expect(call).rejects.toBe(outage)
    await expect(backend.open({ log: () => {} })).rejects.toBe(outage)
    await backend.close()
    expect(backend.calls).toMatchObject({ put: 1, get: 1, stat: 1, list: 1, open: 1, close: 1 })
  })

  it('with null lets the calls through again', async () => {
    const { backend } = faulty()
    backend.fail(new Error('away'))
    backend.fail(null)
    await expect(backend.stat('k', op)).resolves.toBeNull()
  })
})

it.each([{ error: 2 }, { error: -1 }, { error: Number.NaN }, { error: 0.6, hang: 0.6 }, { eror: 0.1 }])(
  'new FaultyBackend(…, %j) throws INVALID_ARGUMENT',
  (options) => {
    expect(() => faulty(options)).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
  },
)
