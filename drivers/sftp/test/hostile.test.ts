import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { HostileServer } from './hostile.ts'

const { signal } = new AbortController()
const KIB = 1 << 10
/** As much as fits into a packet. */
const LONG = 'x'.repeat(200 * KIB)

describe('an endless directory', () => {
  it('is left when it has said more than can be held, and is MISCONFIGURED', async () => {
    const server = await HostileServer.start()
    const backend = await server.backend()
    // Each name is different, so only their number tells.
    server.read = (asked) => (asked > 1_000 ? null : [`${asked}${LONG}`])
    const listing = Array.fromAsync(backend.list({ prefix: '', signal }))
    await expect(listing).rejects.toMatchObject({ code: 'MISCONFIGURED', retryable: false })
    expect(server.asked * LONG.length).toBeLessThan(80 << 20)
  })

  it('of short names is abandoned too', async () => {
    const server = await HostileServer.start()
    const backend = await server.backend()
    const names = Array.from({ length: 4_000 }, (_, i) => `${i}`)
    server.read = (asked) => (asked > 1_000 ? null : names)
    await expect(Array.fromAsync(backend.list({ prefix: '', signal }))).rejects.toThrow(/more names than fit in memory/)
    expect(server.asked).toBeLessThan(300)
  })

  it('is not read further once the call was aborted, as by a timeout', async () => {
    const server = await HostileServer.start()
    const backend = await server.backend()
    const timeout = new AbortController()
    server.read = (asked) => {
      if (asked === 10) timeout.abort(new Error('it takes too long'))
      return ['name']
    }
    await expect(Array.fromAsync(backend.list({ prefix: '', signal: timeout.signal }))).rejects.toThrow()
    await backend.stat('blob', { signal })
    const { asked } = server
    for (let i = 0; i < 5; i++) await backend.stat('blob', { signal })
    expect(server.asked).toBe(asked)
  })
})

describe('a server that echoes what it was told', () => {
  it('shows no password in an error', async () => {
    const server = await HostileServer.start()
    const password = 'correct horse/battery staple'
    const backend = await server.backend(password)
    server.says = `no entry with ${password} or ${Buffer.from(`me:${password}`).toString('base64')}`
    const failure = await backend.stat('failing', { signal }).catch((error: unknown) => error)
    expect(inspect(failure, { depth: 12 })).toContain('no entry with *** or bWU6***')
    expect(inspect(failure, { depth: 12 })).not.toContain(password)
  })
})
