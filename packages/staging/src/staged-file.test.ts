import { readlinkSync } from 'node:fs'
import { type FileHandle, open, readdir, readFile, realpath, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { MemoryLedger } from '@stored/ledger'
import { testDirectory } from '@stored/testing/directory'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { readNamedFile, writeFileBody } from './staged-file.ts'
import { DurableStaging } from './staging.ts'

let directory: string
beforeEach(async () => {
  directory = await testDirectory()
})
afterEach(async () => {
  vi.restoreAllMocks()
})

/** What every FileHandle inherits its methods from. */
async function fileHandles(): Promise<Pick<FileHandle, 'datasync' | 'sync' | 'writev'>> {
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

describe('writeFileBody() of chunks that their source uses again', () => {
  const MIB = 1024 * 1024
  /** Chunks of these sizes; each is overwritten as soon as the next but one is asked for. */
  async function* reused(sizes: readonly number[]) {
    let former: Buffer | undefined
    for (const [i, size] of sizes.entries()) {
      const chunk = Buffer.alloc(size, i + 1)
      yield chunk
      former?.fill(0xff)
      former = chunk
    }
  }
  const options = { require: async () => {}, signal: new AbortController().signal }

  test.each([[[MIB, 10, 10, 10]], [[10, MIB, 10, 10]], [[10, 20, 30]], [[MIB, MIB, MIB, 7]]])(
    'of %j bytes writes each as it was, on a slow disk too',
    async (sizes) => {
      const handles = await fileHandles()
      const { writev } = handles
      vi.spyOn(handles, 'writev').mockImplementation(async function (this: FileHandle, ...given) {
        await setTimeout(20)
        return writev.apply(this, given as never) as never
      })
      const file = path.join(directory, 'f')
      expect(await writeFileBody(file, reused(sizes), options)).toBe(sizes.reduce((sum, size) => sum + size))
      const expected = Buffer.concat(sizes.map((size, i) => Buffer.alloc(size, i + 1)))
      expect((await readFile(file)).equals(expected)).toBe(true)
    },
  )

  test('copies none that is the only one', async () => {
    const writev = vi.spyOn(await fileHandles(), 'writev')
    const chunk = Buffer.alloc(200_000)
    await writeFileBody(
      path.join(directory, 'f'),
      (async function* () {
        yield chunk
      })(),
      options,
    )
    expect(writev.mock.calls[0]?.[0][0]).toBe(chunk)
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

describe('a staged file that is read by its name', () => {
  const signal = new AbortController().signal
  const CHUNK = 1024 * 1024

  /** Reads a file of two chunks, and does `meanwhile` to it before the second. */
  async function read(meanwhile: (file: string) => Promise<unknown>): Promise<number> {
    const file = path.join(directory, 'staged')
    await writeFile(file, Buffer.alloc(2 * CHUNK, 1))
    const opened = await readNamedFile(file, { offset: 0, end: 2 * CHUNK, signal })
    if (!opened) throw new Error('it is there')
    await using _ = opened
    expect(opened.file).toBe(file)
    let size = 0
    for await (const chunk of opened.body) {
      if (size === 0) await meanwhile(file)
      size += chunk.length
    }
    return size
  }

  test('and left alone, or removed, yields all its bytes', async () => {
    expect(await read(async () => {})).toBe(2 * CHUNK)
    expect(await read((file) => rm(file))).toBe(2 * CHUNK)
  })

  test.each<[string, (file: string) => Promise<unknown>]>([
    [
      'replaced by another',
      (file) => writeFile(`${file}2`, Buffer.alloc(2 * CHUNK, 1)).then(() => rename(`${file}2`, file)),
    ],
    ['away in between', (file) => rename(file, `${file}2`).then(() => rename(`${file}2`, file))],
    ['written to', (file) => writeFile(file, 'x', { flag: 'r+' })],
    ['written to, then removed', (file) => writeFile(file, 'x', { flag: 'r+' }).then(() => rm(file))],
  ])('and %s ends with SOURCE_CHANGED', async (_, meanwhile) => {
    await expect(read(meanwhile)).rejects.toMatchObject({ code: 'SOURCE_CHANGED' })
  })

  test('and held other bytes before its body was read, as a clone may have taken, ends with SOURCE_CHANGED', async () => {
    const file = path.join(directory, 'staged')
    await writeFile(file, 'right')
    await using opened = await readNamedFile(file, { offset: 0, end: 5, signal })
    for (const bytes of ['wrong', 'right']) await writeFile(file, bytes, { flag: 'r+' })
    await expect(Array.fromAsync(opened?.body ?? [])).rejects.toMatchObject({ code: 'SOURCE_CHANGED' })
  })
})
