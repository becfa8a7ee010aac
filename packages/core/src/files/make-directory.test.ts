import { execFile } from 'node:child_process'
import { readlinkSync } from 'node:fs'
import { type FileHandle, open, stat, symlink } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { testDirectory } from '@stored/testing/directory'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { makeDirectory } from './make-directory.ts'

let directory: string
beforeEach(async () => {
  directory = await testDirectory()
})
afterEach(async () => {
  vi.restoreAllMocks()
})

/** The flushed paths, in order, below the test's directory. */
async function recordFlushes(): Promise<string[]> {
  await using handle = await open(directory)
  const handles: Pick<FileHandle, 'sync'> = Object.getPrototypeOf(handle)
  const flushed: string[] = []
  const { sync } = handles
  vi.spyOn(handles, 'sync').mockImplementation(async function (this: FileHandle) {
    flushed.push(path.relative(directory, readlinkSync(`/proc/self/fd/${this.fd}`)) || '.')
    await sync.call(this)
  })
  return flushed
}

describe.runIf(process.platform === 'linux')('makeDirectory()', () => {
  test('flushes the parent of each directory that it makes', async () => {
    const flushed = await recordFlushes()
    await makeDirectory(path.join(directory, 'a/b/c'), { op: 'open' })
    expect((await stat(path.join(directory, 'a/b/c'))).isDirectory()).toBe(true)
    expect(flushed).toEqual(['a/b', 'a', '.'])
  })

  test('flushes nothing for an existing directory', async () => {
    const flushed = await recordFlushes()
    await makeDirectory(directory, { op: 'open' })
    expect(flushed).toEqual([])
  })

  test.each(['link', 'link/below'])('is MISCONFIGURED at %s, if the link is dangling', async (name) => {
    await symlink(path.join(directory, 'unmounted', 'store'), path.join(directory, 'link'))
    await expect(makeDirectory(path.join(directory, name), { op: 'open' })).rejects.toMatchObject({
      code: 'MISCONFIGURED',
      detail: expect.stringContaining('a link is dangling'),
    })
  })

  // In its own process, because a call that never ended could not be stopped here.
  test('ends with MISCONFIGURED where the system creates no directories although the parent exists', async () => {
    const script = `
      import { makeDirectory } from ${JSON.stringify(path.join(import.meta.dirname, 'make-directory.ts'))}
      await makeDirectory('/proc/stored/below', { op: 'open' }).catch(({ code }) => console.log(code))`
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
      timeout: 10_000,
      killSignal: 'SIGKILL',
    })
    expect(stdout).toBe('MISCONFIGURED\n')
  })

  test('ends with MISCONFIGURED where not even the root exists, as on a missing Windows drive', async () => {
    const script = `
      import fs from 'node:fs/promises'
      import { syncBuiltinESMExports } from 'node:module'
      fs.mkdir = async () => { throw Object.assign(new Error(), { code: 'ENOENT' }) }
      syncBuiltinESMExports()
      const { makeDirectory } = await import(${JSON.stringify(path.join(import.meta.dirname, 'make-directory.ts'))})
      await makeDirectory('/none/below', { op: 'open' }).catch(({ code }) => console.log(code))`
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
      timeout: 10_000,
      killSignal: 'SIGKILL',
    })
    expect(stdout).toBe('MISCONFIGURED\n')
  })
})
