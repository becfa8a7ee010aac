import { inspect } from 'node:util'
import { describe, expect, it, vi } from 'vitest'
import { StorageError } from './error.ts'
import { Credential } from './secret.ts'

/** A service that accepts any of the tokens in `good`. */
function service(...good: string[]) {
  return vi.fn(async (token: string) => {
    if (!good.includes(token)) throw new StorageError('UNAUTHENTICATED', { op: 'get' })
    return `let in with ${token}`
  })
}

/** A function that returns the `tokens` one after the other, and then the last one forever. */
function giving(...tokens: string[]) {
  return vi.fn(async () => (tokens.length > 1 ? tokens.shift() : tokens[0]) as string)
}

describe('Credential.use', () => {
  it('passes on a plain credential', async () => {
    expect(await new Credential('a').use(service('a'))).toBe('let in with a')
  })

  it('calls a function once, also for concurrent calls', async () => {
    const ask = giving('a', 'b')
    const credential = new Credential(ask)
    await Promise.all([credential.use(service('a')), credential.use(service('a'))])
    await credential.use(service('a'))
    expect(ask).toHaveBeenCalledTimes(1)
  })

  it('calls it again after UNAUTHENTICATED, and repeats the call once', async () => {
    const ask = giving('old', 'new')
    const call = service('new')
    expect(await new Credential(ask).use(call)).toBe('let in with new')
    expect(call.mock.calls).toEqual([['old'], ['new']])
  })

  it('calls it only once more when many calls are refused at the same time', async () => {
    const ask = giving('old', 'new')
    const credential = new Credential(ask)
    await Promise.all(Array.from({ length: 5 }, () => credential.use(service('new'))))
    expect(ask).toHaveBeenCalledTimes(2)
  })

  it('rejects with UNAUTHENTICATED if the new one is refused too, or if there is no other', async () => {
    const call = service('good')
    await expect(new Credential(giving('bad', 'worse')).use(call)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' })
    expect(call).toHaveBeenCalledTimes(2)
    call.mockClear()
    await expect(new Credential('bad').use(call)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' })
    expect(call).toHaveBeenCalledTimes(1)
  })

  it('does not repeat a call that must not be repeated, and the next call renews the credential', async () => {
    const credential = new Credential(giving('old', 'new'))
    const call = service('new')
    await expect(credential.use(call, { again: () => false })).rejects.toMatchObject({ code: 'UNAUTHENTICATED' })
    expect(await credential.use(call, { again: () => false })).toBe('let in with new')
  })

  it('passes on any other failure, and keeps the credential', async () => {
    const ask = giving('a')
    const credential = new Credential(ask)
    const call = async () => Promise.reject(new StorageError('UNAVAILABLE', { op: 'get' }))
    await expect(credential.use(call)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    await credential.use(service('a'))
    expect(ask).toHaveBeenCalledTimes(1)
  })

  it('renews an expired credential', async () => {
    const ends: Record<string, number> = { old: Date.now() - 1 }
    const credential = new Credential(giving('old', 'new'), { expiresAt: (token) => ends[token] })
    expect(await credential.use(service('new'))).toBe('let in with new')
  })

  it('rejects with UNAUTHENTICATED if the function fails, and calls it again the next time', async () => {
    const cause = new Error('no network')
    const ask = vi.fn<() => Promise<string>>().mockRejectedValueOnce(cause).mockResolvedValue('a')
    const credential = new Credential(ask)
    await expect(credential.use(service('a'), { again: () => false })).rejects.toMatchObject({
      code: 'UNAUTHENTICATED',
      cause,
    })
    expect(await credential.use(service('a'))).toBe('let in with a')
  })
})

it('a Credential prints nothing of what it holds', async () => {
  const credential = new Credential('hunter2')
  await credential.use(service('hunter2'))
  const printed = [inspect(credential, { showHidden: true, depth: 9 }), JSON.stringify({ credential }), `${credential}`]
  expect(printed.join()).not.toContain('hunter2')
})
