import { createHash } from 'node:crypto'
import { guardBackend } from '@stored/core'
import { MemoryBackend, type PutOptions, StorageError } from '@stored/core/backend'
import { describe, expect, test } from 'vitest'
import { chunks, spyBackend, text } from './backends.ts'

const KNOWN = { size: 3, sha256: createHash('sha256').update('abc').digest('hex') }
const keep = async (): Promise<void> => {}

describe('a resumable put()', () => {
  test('tells the driver where to resume, and saves its checkpoints', async () => {
    const kept: string[] = []
    const { backend, calls } = spyBackend({
      async put(key, body, { size = 0, onCheckpoint, signal }) {
        await onCheckpoint?.('half-way')
        return new MemoryBackend().put(key, body, { size, signal })
      },
    })
    const onCheckpoint = async (checkpoint: string) => void kept.push(checkpoint)
    await guardBackend(backend).put('k', chunks('ab', 'c'), { ...KNOWN, checkpoint: 'before', onCheckpoint })
    expect(calls.find(({ method }) => method === 'put')?.args[2]).toMatchObject({ checkpoint: 'before' })
    expect(kept).toEqual(['half-way'])
  })

  test('resumes in memory', async () => {
    const guard = guardBackend(new MemoryBackend())
    let checkpoint: string | undefined
    const onCheckpoint = async (given: string) => {
      checkpoint = given
    }
    async function* torn() {
      yield Buffer.from('a')
      throw new StorageError('UNAVAILABLE', { op: 'read' })
    }
    await expect(guard.put('k', torn(), { ...KNOWN, onCheckpoint })).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(await guard.has('k')).toBe(false)
    await guard.put('k', chunks('a', 'b', 'c'), { ...KNOWN, checkpoint, onCheckpoint })
    expect(await text((await guard.get('k')).body)).toBe('abc')
  })

  test.each([{ checkpoint: 'text' }, { onCheckpoint: keep }])(
    'rejects with UNSUPPORTED if the driver does not declare it, and calls nothing: %o',
    async (options) => {
      const { resume: _, ...without } = new MemoryBackend().capabilities
      const { backend, calls } = spyBackend({}, without)
      const put = guardBackend(backend).put('k', chunks('abc'), { ...KNOWN, ...options })
      await expect(put).rejects.toMatchObject({ code: 'UNSUPPORTED', detail: expect.stringContaining('resume') })
      expect(calls.map(({ method }) => method)).not.toContain('put')
    },
  )

  test.each([
    ['no size', { sha256: KNOWN.sha256, checkpoint: 'text' }],
    ['no sha256', { size: 3, onCheckpoint: keep }],
    ['a checkpoint that is not text', { ...KNOWN, checkpoint: 7 as never }],
    ['an onCheckpoint that is not a function', { ...KNOWN, onCheckpoint: 'keep' as never }],
  ])('rejects with INVALID_ARGUMENT for %s', async (_, options) => {
    const put = guardBackend(new MemoryBackend()).put('k', chunks('abc'), options)
    await expect(put).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })

  test.each([
    ['is too long', 'x'.repeat(2 ** 16 + 1)],
    ['is not text', 7 as never],
  ])('fails with a checkpoint that %s, and does not save it', async (_, checkpoint) => {
    const kept: string[] = []
    const { backend } = spyBackend({
      put: async (key, _body, { onCheckpoint }: PutOptions) => {
        await onCheckpoint?.(checkpoint)
        return { key, size: 3 }
      },
    })
    const onCheckpoint = async (given: string) => void kept.push(given)
    const put = guardBackend(backend).put('k', chunks('abc'), { ...KNOWN, onCheckpoint })
    await expect(put).rejects.toMatchObject({ code: 'INTERNAL' })
    expect(kept).toEqual([])
  })
})
