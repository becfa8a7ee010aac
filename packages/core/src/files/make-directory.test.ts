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

/** The paths of what is flushed, in order, below the directory of the test. */
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

  test('of what is there flushes nothing', async () => {
    const flushed = await recordFlushes()
    await makeDirectory(directory, { op: 'open' })
    expect(flushed).toEqual([])
  })

  test.each(['link', 'link/below'])('is MISCONFIGURED at %s, where the link leads nowhere', async (name) => {
    await symlink(path.join(directory, 'unmounted', 'store'), path.join(directory, 'link'))
    await expect(makeDirectory(path.join(directory, name), { op: 'open' })).rejects.toMatchObject({
      code: 'MISCONFIGURED',
      detail: expect.stringContaining('leads nowhere'),
    })
  })

  // In a process of its own: the call that never ended could not be ended either.
  test('ends, MISCONFIGURED, where the system makes no directories, though the one above is there', async () => {
    const script = `
      import { makeDirectory } from ${JSON.stringify(path.join(import.meta.dirname, 'make-directory.ts'))}
      await makeDirectory('/proc/stored/below', { op: 'open' }).catch(({ code }) => console.log(code))`
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
      timeout: 10_000,
      killSignal: 'SIGKILL',
    })
    expect(stdout).toBe('MISCONFIGURED\n')
  })

  test('ends, MISCONFIGURED, where not even the root is there, as on a drive that Windows does not have', async () => {
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
