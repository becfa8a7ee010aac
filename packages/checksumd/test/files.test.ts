// One specification for both ways to digest a file: in this thread, and in the threads of a pool.
import { execFileSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { appendFileSync, truncateSync, writeFileSync } from 'node:fs'
import { chmod, mkdtemp, readdir, readlink, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { ChecksumPool, checksums, type FileDigestsOptions, fileDigests } from '@stored/checksumd'
import { ALGORITHMS, type Algorithm } from '@stored/core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const MIB = 1024 * 1024
const ALL = ALGORITHMS

let directory: string
const at = (name: string) => join(directory, name)
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'stored-checksumd-'))
})
afterAll(() => rm(directory, { recursive: true }))

async function expected(bytes: Uint8Array) {
  const hasher = await checksums.hasher(ALL)
  hasher.update(bytes)
  return hasher.digest()
}

/** Rejects in time only where an abort is heeded: hashing it would take minutes. It takes no room on the disk. */
function hugeFile(name: string): string {
  writeFileSync(at(name), '')
  truncateSync(at(name), 64 * 1024 * MIB)
  return at(name)
}

interface Subject {
  digests(path: string, algorithms: readonly Algorithm[], options?: FileDigestsOptions): ReturnType<typeof fileDigests>
  end(): Promise<void>
}

const subjects: Record<string, () => Subject> = {
  'fileDigests()': () => ({ digests: fileDigests, end: async () => {} }),
  'ChecksumPool.file()': () => {
    const pool = new ChecksumPool({ threads: 1 })
    return { digests: pool.file.bind(pool), end: () => pool[Symbol.asyncDispose]() }
  },
}

describe.each(Object.entries(subjects))('%s', (_name, start) => {
  let subject: Subject
  beforeAll(() => {
    subject = start()
  })
  afterAll(() => subject.end())

  test.each([0, 1, MIB - 1, MIB, MIB + 1, 3 * MIB + 7])(
    'of a file of %i bytes answers the digests of its bytes',
    async (size) => {
      const bytes = randomBytes(size)
      await writeFile(at('file'), bytes)
      expect(await subject.digests(at('file'), ALL)).toEqual(await expected(bytes))
    },
  )

  test('of a missing file rejects with NOT_FOUND and the cause', async () => {
    await expect(subject.digests(at('missing'), [])).rejects.toMatchObject({
      code: 'NOT_FOUND',
      at: { op: 'checksum' },
      message: expect.stringContaining(at('missing')),
      cause: { code: 'ENOENT' },
    })
  })

  test('of a path below a file rejects with NOT_FOUND', async () => {
    await writeFile(at('file'), '')
    await expect(subject.digests(at('file/below'), [])).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  test.each(['', 'a\0b', undefined as unknown as string])(
    'of the path %j rejects with INVALID_ARGUMENT',
    async (path) => {
      await expect(subject.digests(path, [])).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
    },
  )

  test.skipIf(process.getuid?.() === 0)('of a file it may not read rejects with PERMISSION_DENIED', async () => {
    await writeFile(at('secret'), 'x')
    await chmod(at('secret'), 0)
    await expect(subject.digests(at('secret'), [])).rejects.toMatchObject({ code: 'PERMISSION_DENIED' })
  })

  test('of a directory rejects with INVALID_ARGUMENT', async () => {
    await expect(subject.digests(directory, [])).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
  })

  test.skipIf(process.platform === 'win32')(
    'of a pipe without a writer rejects and does not wait for one',
    async () => {
      execFileSync('mkfifo', [at('pipe')])
      await expect(subject.digests(at('pipe'), [])).rejects.toMatchObject({ code: 'INVALID_ARGUMENT' })
      await rm(at('pipe'))
    },
  )

  test('of a file that grows meanwhile rejects with SOURCE_CHANGED', async () => {
    writeFileSync(at('growing'), '')
    truncateSync(at('growing'), 256 * MIB)
    let settled = false
    const digests = subject.digests(at('growing'), []).finally(() => {
      settled = true
    })
    const outcome = expect(digests).rejects.toMatchObject({ code: 'SOURCE_CHANGED' })
    while (!settled) {
      appendFileSync(at('growing'), 'x')
      await turn()
    }
    await outcome
  })

  test('of an unknown algorithm rejects with INVALID_ARGUMENT', async () => {
    await expect(subject.digests(at('file'), ['crc16' as Algorithm])).rejects.toMatchObject({
      code: 'INVALID_ARGUMENT',
    })
  })

  test('aborted before it begins rejects with ABORTED and the reason', async () => {
    const reason = new Error('enough')
    await expect(subject.digests(at('missing'), [], { signal: AbortSignal.abort(reason) })).rejects.toMatchObject({
      code: 'ABORTED',
      cause: reason,
    })
  })

  test('aborted half-way rejects with ABORTED, and the next file is digested', async () => {
    const controller = new AbortController()
    const digests = subject.digests(hugeFile('huge'), [], { signal: controller.signal })
    await turn()
    controller.abort()
    await expect(digests).rejects.toMatchObject({ code: 'ABORTED', name: 'AbortError' })
    await writeFile(at('next'), 'abc')
    expect(await subject.digests(at('next'), ALL)).toEqual(await expected(Buffer.from('abc')))
  })
})

describe('ChecksumPool', () => {
  test('digests many files, each with its own', async () => {
    await using pool = new ChecksumPool({ threads: 2 })
    const texts = Array.from({ length: 100 }, (_, i) => `file ${i}`)
    const digests = await Promise.all(
      texts.map(async (text, i) => {
        await writeFile(at(`many-${i}`), text)
        return pool.file(at(`many-${i}`), [])
      }),
    )
    expect(digests).toEqual(texts.map((text) => ({ sha256: createHash('sha256').update(text).digest('hex') })))
  })

  test('an abort of a file that waits leaves the others', async () => {
    await using pool = new ChecksumPool({ threads: 1 })
    await writeFile(at('first'), 'abc')
    const controller = new AbortController()
    const first = pool.file(at('first'), [])
    const waiting = pool.file(at('first'), [], { signal: controller.signal })
    const last = pool.file(at('first'), [])
    controller.abort()
    await expect(waiting).rejects.toMatchObject({ code: 'ABORTED' })
    expect(await first).toEqual(await last)
  })

  test('disposed, it rejects what is under way, what waits and what comes later with CLOSED', async () => {
    const pool = new ChecksumPool({ threads: 1 })
    const calls = [pool.file(hugeFile('huge'), []), pool.file(at('huge'), [])].map((call) =>
      expect(call).rejects.toMatchObject({ code: 'CLOSED' }),
    )
    await pool[Symbol.asyncDispose]()
    await Promise.all(calls)
    await expect(pool.file(at('huge'), [])).rejects.toMatchObject({ code: 'CLOSED' })
  })

  test.runIf(process.platform === 'linux')('an aborted file is closed', async () => {
    const path = hugeFile('closed')
    await using pool = new ChecksumPool({ threads: 1 })
    const controller = new AbortController()
    const outcome = expect(pool.file(path, [], { signal: controller.signal })).rejects.toMatchObject({
      code: 'ABORTED',
    })
    while (!(await openFiles()).includes(path)) await turn()
    controller.abort()
    await outcome
    // Its thread ends a moment later; if it never closes the file, this test runs out of time.
    while ((await openFiles()).includes(path)) await turn()
  })

  test.each([0, -1, 1.5, Number.NaN])('threads: %d is refused', (threads) => {
    expect(() => new ChecksumPool({ threads })).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }))
  })

  test('an unknown option is refused', () => {
    expect(() => new ChecksumPool({ thread: 2 } as object)).toThrow(/did you mean "threads"/)
  })
})

async function openFiles(): Promise<string[]> {
  const links = (await readdir('/proc/self/fd')).map(async (fd) => {
    // The descriptor of this very listing is gone by now.
    return readlink(`/proc/self/fd/${fd}`).catch(() => '')
  })
  return Promise.all(links)
}
