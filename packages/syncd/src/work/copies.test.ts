import { createHash } from 'node:crypto'
import { type BlobId, type Claimed, guardBackend, type Index, type Location, type Place } from '@stored/core'
import { MemoryBackend } from '@stored/core/backend'
import { describe, expect, test } from 'vitest'
import { openCopy } from './copies.ts'
import type { Services } from './services.ts'

const BYTES = Buffer.from('hello')
const ID: BlobId = `sha256:${createHash('sha256').update(BYTES).digest('hex')}`
const NEVER = new AbortController().signal

/** Runs reads and plans over nothing. */
const LEDGER = {
  look: async (read: (view: unknown) => unknown) => read(null),
  transact: async (plan: (tx: unknown) => unknown) => ({ value: plan(null) }),
}

/** The synced places of a blob, in the given order. */
function pagesOf(copies: readonly Location[]): Pick<Index, 'locations'> {
  const orderOf = ({ backend, key }: Place) => `${backend}\0${key}`
  const isBehind = (one: Place, after: Place | undefined) => !after || orderOf(one) > orderOf(after)
  return {
    locations: (_, __, standing, { after, limit = 500 } = {}) =>
      standing === 'synced' ? copies.filter((one) => isBehind(one, after)).slice(0, limit) : [],
  }
}

describe('openCopy()', () => {
  test('finds the copy on another backend, however many keys have theirs on the backend of the job and on one that is gone', async () => {
    await using backend = guardBackend(new MemoryBackend(), { name: 'near' })
    await backend.put('a', BYTES)
    const copyAt = (name: string, key: string) => ({ backend: name, key, id: ID, state: 'synced' }) as Location
    const many = (name: string) => Array.from({ length: 600 }, (_, i) => copyAt(name, `k${1000 + i}`))
    const services = {
      index: pagesOf([...many('far'), ...many('gone'), copyAt('near', 'a')]),
      ledger: LEDGER,
      staging: { open: async () => null },
      backends: { get: (name: string) => (name === 'near' ? { backend } : undefined) },
    } as unknown as Services
    const opened = await openCopy(services, { backend: 'far', key: 'a', id: ID, op: 'put' } as Claimed, NEVER)
    expect(Buffer.concat(await Array.fromAsync(opened.body))).toEqual(BYTES)
  })

  test('of bytes that leave staging in the meantime, for a copy that was just confirmed, opens that copy', async () => {
    await using backend = guardBackend(new MemoryBackend(), { name: 'near' })
    await backend.put('a', BYTES)
    let isReleased = false
    const copy = { backend: 'near', key: 'a', id: ID, state: 'synced' }
    const services = {
      index: {
        locations: (_: unknown, __: BlobId, standing: string) => (isReleased && standing === 'synced' ? [copy] : []),
      },
      ledger: LEDGER,
      staging: {
        open: async () => {
          isReleased = true
          return null
        },
      },
      backends: { get: () => ({ backend }), isCurrent: () => true },
    } as unknown as Services
    const opened = await openCopy(services, { backend: 'far', key: 'a', id: ID, op: 'put' } as Claimed, NEVER)
    expect(Buffer.concat(await Array.fromAsync(opened.body))).toEqual(BYTES)
  })

  test('of staged bytes that failed opens them again only once others were kept in their place', async () => {
    let rev = '1'
    let open = 0
    const staging = {
      open: async () => {
        open++
        return { rev, size: 0, body: [], [Symbol.asyncDispose]: async () => void open-- }
      },
    }
    const index = { locations: () => [] }
    const services = { index, ledger: LEDGER, staging, backends: new Map() } as unknown as Services
    const job = { backend: 'far', key: 'a', id: ID, op: 'put' } as Claimed
    const first = await openCopy(services, job, NEVER)
    await first[Symbol.asyncDispose]()
    const damage = new Error('damaged')
    const failed = new Map([[first.name, damage]])
    await expect(openCopy(services, job, NEVER, failed)).rejects.toBe(damage)
    expect(open).toBe(0)
    rev = '2'
    await using again = await openCopy(services, job, NEVER, failed)
    expect(again.name).not.toBe(first.name)
  })

  test('of a copy whose bytes are wrong fails at once, and looks at it again when it is asked to explain that', async () => {
    let reads = 0
    class Counting extends MemoryBackend {
      override get(...o: Parameters<MemoryBackend['get']>): ReturnType<MemoryBackend['get']> {
        reads++
        return super.get(...o)
      }
    }
    await using backend = guardBackend(new Counting(), { name: 'near' })
    await backend.put('a', Buffer.from('jello'))
    const copy = { backend: 'near', key: 'a', id: ID, state: 'synced' }
    const noted: unknown[] = []
    const services = {
      index: {
        locations: (_: unknown, __: BlobId, standing: string) => (standing === 'synced' ? [copy] : []),
        location: () => copy,
        leaving: () => [],
        facts: () => null,
        locate: (_: unknown, { state }: { state: string }) => noted.push(state),
      },
      ledger: LEDGER,
      staging: { open: async () => null },
      backends: { get: () => ({ backend }), isCurrent: () => true },
    } as unknown as Services
    await using opened = await openCopy(services, { backend: 'far', key: 'a', id: ID, op: 'put' } as Claimed, NEVER)
    const error: unknown = await Array.fromAsync(opened.body).catch((failure: unknown) => failure)
    expect(error).toMatchObject({ code: 'CHECKSUM_MISMATCH' })
    expect([reads, noted]).toEqual([1, []])
    expect(await opened.explain?.(error)).toBe(error)
    expect([reads, noted]).toEqual([2, ['unknown']])
  })
})
