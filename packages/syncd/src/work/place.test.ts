import { createHash } from 'node:crypto'
import { type BlobId, type Claimed, guardBackend, type Location } from '@stored/core'
import {
  type Capabilities,
  type GetOptions,
  type GetResult,
  MemoryBackend,
  type Op,
  type Stat,
} from '@stored/core/backend'
import { describe, expect, test } from 'vitest'
import { removeCopy } from './place.ts'

const BYTES = Buffer.from('hello')
const ID: BlobId = `sha256:${createHash('sha256').update(BYTES).digest('hex')}`
const NEVER = new AbortController().signal

/** Keeps no checksums, and misreads one byte as often as it is told. */
class MisreadBackend extends MemoryBackend {
  override readonly capabilities = { contract: 1, atomicOverwrite: true, etag: 'strong' } as Capabilities as never
  misreads = 0
  wrong = (): Buffer => Buffer.from('jello')

  override async stat(key: string, options: Op): Promise<Stat | null> {
    const stat = await super.stat(key, options)
    return stat && plain(stat)
  }

  override async get(key: string, options: GetOptions): Promise<GetResult> {
    const { stat, body } = await super.get(key, options)
    return { stat: plain(stat), body: this.misreads-- > 0 ? once(this.wrong()) : body }
  }
}

function plain({ checksums: _, ...stat }: Stat): Stat {
  return stat
}

describe('removeCopy()', () => {
  test('of a write whose outcome is unknown and whose bytes are first misread, removes it', async () => {
    const driver = new MisreadBackend()
    await using backend = guardBackend(driver, { name: 'far' })
    await backend.put('a', BYTES)
    driver.misreads = 2
    const place = { backend: 'far', key: 'a', id: ID }
    const job = { ...place, op: 'delete', size: 0 } as Claimed
    await removeCopy(backend, job, { ...place, state: 'deleting', tried: [ID] } as unknown as Location, NEVER)
    expect(await backend.stat('a')).toBeNull()
  })

  test('of bytes that read differently each time says that nobody can tell, and leaves them', async () => {
    const driver = new MisreadBackend()
    await using backend = guardBackend(driver, { name: 'far' })
    await backend.put('a', BYTES)
    driver.misreads = 3
    driver.wrong = () => Buffer.from(`jell${driver.misreads}`)
    const place = { backend: 'far', key: 'a', id: ID }
    const job = { ...place, op: 'delete', size: 0 } as Claimed
    const removing = removeCopy(
      backend,
      job,
      { ...place, state: 'deleting', tried: [ID] } as unknown as Location,
      NEVER,
    )
    await expect(removing).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(await backend.stat('a')).not.toBeNull()
  })
})

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}
