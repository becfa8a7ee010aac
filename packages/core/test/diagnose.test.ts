import { createHash } from 'node:crypto'
import { guardBackend } from '@stored/core'
import { MemoryBackend, StorageError } from '@stored/core/backend'
import { expect, test } from 'vitest'
import type { BlobId } from '../src/model/blob.ts'
import type { Location } from '../src/model/copy.ts'
import { diagnose } from '../src/stored/verify/diagnose.ts'

const { signal } = new AbortController()

test('a copy is damaged if a driver that keeps its own digests twice reports CORRUPT', async () => {
  class Pieces extends MemoryBackend {
    override async get(key: string): Promise<never> {
      throw new StorageError('CORRUPT', { op: 'get', key }, { detail: 'its second piece is gone' })
    }
  }
  const backend = guardBackend(new Pieces())
  const { etag } = await backend.put('k', Buffer.from('bytes'))
  const id = `sha256:${createHash('sha256').update('bytes').digest('hex')}` as BlobId
  const location = { key: 'k', id, holds: { id, etag } } as Location
  const error = await backend.get('k').catch((cause) => cause)
  await expect(diagnose(backend, location, error, { signal })).resolves.toMatchObject({ state: 'corrupt' })
})
