import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { BlobId } from '@stored/core'
import { expect, test } from 'vitest'
import { Filler } from './filler.ts'

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

test('settled() waits for bodies that have already ended, not for those that end in the meantime', async () => {
  const location = await mkdtemp(path.join(tmpdir(), 'stored-filler-'))
  let filled = 0
  let left = 100
  const fillAnother = async () => {
    left--
    const bytes = randomBytes(100)
    const id: BlobId = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
    for await (const _ of filler.tee(id, once(bytes), bytes.length));
  }
  const onFilled = () => {
    filled++
    if (left > 0) void fillAnother()
  }
  const filler = new Filler({
    location,
    maxSize: 10_000,
    onFilled,
    onFailed: (error) => expect.unreachable(String(error)),
  })
  try {
    await Promise.all([1, 2, 3, 4, 5, 6].map(fillAnother))
    await filler.settled()
    expect(filled).toBeGreaterThanOrEqual(6)
    expect(left).toBeGreaterThan(0)
  } finally {
    await expect.poll(() => filled).toBe(100)
    await rm(location, { recursive: true })
  }
})
