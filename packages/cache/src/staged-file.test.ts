import { mkdtemp, open, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { MemoryLedger } from '@stored/lmdb'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { DurableStaging } from './staging.ts'

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'stored-staged-'))
})
afterEach(async () => {
  vi.restoreAllMocks()
  await rm(directory, { recursive: true })
})

/** What every FileHandle inherits its methods from. */
async function fileHandles(): Promise<{ datasync(): Promise<void> }> {
  await using handle = await open(directory)
  return Object.getPrototypeOf(handle)
}

describe('receive() of bytes whose flush fails', () => {
  test.each([
    ['EIO', 'UNAVAILABLE'],
    ['ENOSPC', 'NO_SPACE'],
  ])('with %s rejects with %s, flushes that file never again, and leaves none behind', async (errno, code) => {
    const ledger = new MemoryLedger()
    const staging = await DurableStaging.open({ ledger, path: directory, inlineMax: 0 })
    const signal = new AbortController().signal
    const source = async function* () {
      yield Buffer.alloc(100_000)
    }
    const flush = vi.spyOn(await fileHandles(), 'datasync')
    flush.mockRejectedValueOnce(Object.assign(new Error(`${errno}: it failed`), { code: errno }))
    await expect(staging.receive(source(), { signal, whenFull: 'refuse' })).rejects.toMatchObject({ code })
    expect(flush).toHaveBeenCalledTimes(1)
    expect(await readdir(directory)).toEqual([])

    await using received = await staging.receive(source(), { signal, whenFull: 'refuse' })
    expect(received.size).toBe(100_000)
    expect(new Set(flush.mock.instances).size).toBe(2)
    expect(await readdir(directory)).toHaveLength(1)
    expect(ledger.degraded).toBeNull()
    await staging.close()
  })
})
