import { type GuardedGetOptions, guardBackend } from '@stored/core'
import { type Capabilities, type GetOptions, MemoryBackend, StorageError } from '@stored/core/backend'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { spyBackend, text } from './backends.ts'

const BLOB = 'abcdefghijklmnopqrstuvwxyz'
const BROKEN = new StorageError('UNAVAILABLE', { op: 'get' }, { detail: 'ECONNRESET' })

/**
 * Bodies arrive byte by byte and break off after the number of bytes in `breaks`, one number for each `get`; later ones
 * are whole.
 */
async function holding(breaks: readonly number[], declared: Partial<Capabilities> = {}) {
  const memory = new MemoryBackend()
  const left = [...breaks]
  const asked: Omit<GetOptions, 'signal'>[] = []
  const onBreak = { run: async (): Promise<unknown> => undefined }
  const { backend } = spyBackend(
    {
      async get(key, options) {
        const { signal: _, ...part } = options
        asked.push(part)
        const { stat, body } = await memory.get(key, options)
        return { stat, body: breaking(body, left.shift() ?? Number.POSITIVE_INFINITY, () => onBreak.run()) }
      },
      put: (...args) => memory.put(...args),
      stat: (...args) => memory.stat(...args),
      delete: (...args) => memory.delete(...args),
    },
    { ...memory.capabilities, ...declared },
  )
  const guard = guardBackend(backend, { delay: async () => {} })
  await guard.put('k', Buffer.from(BLOB))
  return { guard, asked, onBreak }
}

async function* breaking(body: AsyncIterable<Uint8Array>, left: number, onBreak: () => Promise<unknown>) {
  const bytes = Buffer.concat(await Array.fromAsync(body))
  for (const byte of bytes.subarray(0, left)) yield Uint8Array.of(byte)
  if (left > bytes.length) return
  await onBreak()
  throw BROKEN
}

describe('a body that breaks off', () => {
  const range = fc.record(
    { offset: fc.nat(25), length: fc.integer({ min: 1, max: 26 }) },
    { requiredKeys: [] },
  ) as fc.Arbitrary<GuardedGetOptions>
  const last = fc.record({ last: fc.integer({ min: 1, max: 30 }) })

  test('resumes where it was, whatever part was requested and wherever it breaks', async () => {
    const property = fc.asyncProperty(
      fc.oneof(range, last),
      fc.array(fc.nat(26), { maxLength: 4 }),
      async (part, breaks) => {
        const whole = await holding([])
        const expected = await text((await whole.guard.get('k', part)).body)
        const { guard } = await holding(breaks)
        expect(await text((await guard.get('k', part)).body)).toBe(expected)
      },
    )
    await fc.assert(property)
  })

  test('requests only the rest', async () => {
    const { asked, guard } = await holding([10, 5])
    await text((await guard.get('k')).body)
    expect(asked.map(({ offset, length }) => [offset, length])).toEqual([
      [undefined, undefined],
      [10, 16],
      [15, 11],
    ])
  })

  test('of a blob that was overwritten meanwhile throws CONFLICT, whatever took its place and however that is told', async () => {
    for (const ifMatch of [true, false])
      for (const other of [BLOB.toUpperCase(), 'short', '']) {
        const { onBreak, guard } = await holding([10], { ifMatch })
        onBreak.run = () => guard.put('k', Buffer.from(other))
        const { body } = await guard.get('k')
        await expect(text(body)).rejects.toMatchObject({ code: 'CONFLICT', retryable: true })
      }
  })

  test('because the driver says that it was overtaken throws that, and asks no more', async () => {
    const { asked, onBreak, guard } = await holding([10])
    onBreak.run = () => Promise.reject(new StorageError('CONFLICT', { op: 'get' }))
    await expect(text((await guard.get('k')).body)).rejects.toMatchObject({ code: 'CONFLICT' })
    expect(asked).toHaveLength(1)
  })

  test('of a blob that was deleted throws NOT_FOUND', async () => {
    const { onBreak, guard } = await holding([10])
    onBreak.run = () => guard.delete('k')
    await expect(text((await guard.get('k')).body)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  test('repeatedly without a byte in between throws the error it broke off with', async () => {
    const { asked, guard } = await holding([10, 0, 0, 0, 0, 0, 0])
    await expect(text((await guard.get('k')).body)).rejects.toMatchObject({ code: 'UNAVAILABLE', retryable: true })
    expect(asked).toHaveLength(5)
  })

  test.each<[string, Partial<Capabilities>]>([
    ['without ranges', { range: false }],
    ['whose etags are weak', { etag: 'weak' }],
  ])('of a driver %s throws at once', async (_, declared) => {
    const { asked, guard } = await holding([10], declared)
    await expect(text((await guard.get('k')).body)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(asked).toHaveLength(1)
  })

  test('through withoutRetries() throws at once', async () => {
    const { asked, guard } = await holding([10])
    const { body } = await guard.withoutRetries().get('k')
    await expect(text(body)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(asked).toHaveLength(1)
  })
})
