import { readlinkSync } from 'node:fs'
import { type FileHandle, mkdtemp, open, readdir, realpath, rm } from 'node:fs/promises'
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
async function fileHandles(): Promise<Pick<FileHandle, 'datasync' | 'sync'>> {
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

test.runIf(process.platform === 'linux')(
  'receive() into a file flushes the file, then the directory with its name',
  async () => {
    const staging = await DurableStaging.open({ ledger: new MemoryLedger(), path: directory, inlineMax: 0 })
    const handles = await fileHandles()
    const flushed: string[] = []
    for (const call of ['datasync', 'sync'] as const) {
      const original = handles[call]
      vi.spyOn(handles, call).mockImplementation(async function (this: FileHandle) {
        flushed.push(readlinkSync(`/proc/self/fd/${this.fd}`))
        await original.call(this)
      })
    }
    const source = async function* () {
      yield Buffer.from('a')
    }
    await using _ = await staging.receive(source(), { signal: new AbortController().signal, whenFull: 'refuse' })
    const at = await realpath(directory)
    const [name = ''] = await readdir(at)
    expect(flushed).toEqual([path.join(at, name), at])
    await staging.close()
  },
)
