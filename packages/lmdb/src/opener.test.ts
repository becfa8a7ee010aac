import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, rename, rmdir, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import path from 'node:path'
import { Worker } from 'node:worker_threads'
import { THIS_PROCESS } from '@stored/core/processes'
import { testDirectory } from '@stored/testing/directory'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { LmdbLedger } from './lmdb-ledger.ts'
import { Opener } from './opener.ts'

let directory: string
const opened: { close(): Promise<void> }[] = []

beforeEach(async () => {
  directory = await testDirectory()
})
afterEach(async () => {
  for (const one of opened.splice(0)) await one.close()
})

/** As a process with this pid, in a PID namespace with this number. */
async function register(namespace = THIS_PROCESS.namespace, pid = process.pid): Promise<Opener> {
  const opener = await Opener.register(directory, { self: { ...THIS_PROCESS, namespace, pid } })
  opened.push(opener)
  return opener
}

/** Leaves a socket behind, as a process does that is killed. */
async function die(name: string): Promise<void> {
  const server = createServer().listen(path.join(directory, 'moved'))
  await once(server, 'listening')
  await rename(path.join(directory, 'moved'), path.join(directory, name))
  await new Promise((resolve) => server.close(resolve))
}

describe.runIf(process.platform === 'linux')('register()', () => {
  test('says who has the store open by a socket that every user of the store may ask, and takes it away with close()', async () => {
    const opener = await register()
    const [name = ''] = await readdir(directory)
    expect(name).toMatch(new RegExp(`^open-${THIS_PROCESS.namespace}-${process.pid}-${THIS_PROCESS.start}-`))
    expect((await stat(path.join(directory, name))).mode & 0o777).toBe(0o666)
    await opener.close()
    expect(await readdir(directory)).toEqual([])
  })

  test('while a process of another PID namespace has the store open rejects CONFLICT, and leaves nothing', async () => {
    await register('1', 1)
    const before = await readdir(directory)
    await expect(register('2', 1)).rejects.toMatchObject({ code: 'CONFLICT', retryable: true })
    expect(await readdir(directory)).toEqual(before)
  })

  test('beside a process of the same PID namespace resolves', async () => {
    await register('1', 1)
    await expect(register('1', 2)).resolves.toBeInstanceOf(Opener)
  })

  test('removes what processes left behind that were killed, whatever their PID namespace', async () => {
    const { pid } = spawnSync('true')
    const { namespace } = THIS_PROCESS
    await die('open-1-1-1-0123456789ab.sock')
    await die(`open-${namespace}-${pid}-1-0123456789ab.sock`)
    await die(`open-${namespace}-${pid}-1-0123456789ab.sock.new`)
    await register()
    expect(await readdir(directory)).toHaveLength(1)
  })

  test('of a pid that another process had before takes that one for dead', async () => {
    await die(`open-${THIS_PROCESS.namespace}-${process.ppid}-1-0123456789ab.sock`)
    await register()
    expect(await readdir(directory)).toHaveLength(1)
  })

  test('after a close() that could not remove its socket resolves, and removes it', async () => {
    const ledger = await LmdbLedger.open({ path: directory })
    const name = (await readdir(directory)).find((one) => one.startsWith('open-')) ?? ''
    // A directory in its place cannot be unlinked.
    await rename(path.join(directory, name), path.join(directory, 'socket'))
    await mkdir(path.join(directory, name))
    await expect(ledger.close()).rejects.toMatchObject({ name: 'StorageError', at: { op: 'close' } })
    await rmdir(path.join(directory, name))
    await rename(path.join(directory, 'socket'), path.join(directory, name))
    opened.push(await LmdbLedger.open({ path: directory }))
    const left = (await readdir(directory)).filter((one) => one.startsWith('open-'))
    expect(left).toHaveLength(1)
    expect(left).not.toContain(name)
  })

  test('leaves files of others alone', async () => {
    const names = ['open-1-1-1.sock', 'open.sock', 'opening.mdb', 'syncer-0123456789ab.sock']
    for (const name of names) await writeFile(path.join(directory, name), '')
    await (await register()).close()
    expect((await readdir(directory)).sort()).toEqual(names)
  })

  test('works in a directory with a path too long for a socket', async () => {
    directory = path.join(directory, 'd'.repeat(100), 'e'.repeat(100))
    await mkdir(directory, { recursive: true })
    await register('1', 1)
    await expect(register('2', 1)).rejects.toMatchObject({ code: 'CONFLICT' })
  })

  test('by any number of processes at once, of some PID namespaces, never lets in two of those', async () => {
    const namespace = fc.constantFrom('1', '2', '3')
    await fc.assert(
      fc.asyncProperty(fc.array(namespace, { minLength: 2, maxLength: 5 }), async (namespaces) => {
        const outcomes = await Promise.allSettled(namespaces.map((one, i) => register(one, i + 1)))
        const inside = namespaces.filter((_, i) => outcomes[i]?.status === 'fulfilled')
        for (const one of opened.splice(0)) await one.close()
        expect(new Set(inside).size).toBeLessThanOrEqual(1)
        for (const one of outcomes)
          if (one.status === 'rejected') expect(one.reason).toMatchObject({ code: 'CONFLICT' })
      }),
      { numRuns: 20 },
    )
  })
})

const THREAD = `
  import { parentPort, workerData } from 'node:worker_threads'
  const { LmdbLedger } = await import(workerData.module)
  const outcome = await LmdbLedger.open({ path: workerData.directory, reserve: 0 }).then(
    (ledger) => ledger.close().then(() => 'opened'),
    ({ code, message }) => code + ': ' + message,
  )
  parentPort.postMessage(outcome)
`

test.runIf(process.platform === 'linux')(
  'LmdbLedger.open() of a directory that another thread of this process has open rejects CONFLICT',
  async () => {
    opened.push(await LmdbLedger.open({ path: directory, reserve: 0 }))
    const module = new URL('lmdb-ledger.ts', import.meta.url).href
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(THREAD)}`), {
      workerData: { module, directory },
    })
    const [outcome] = await once(worker, 'message')
    await worker.terminate()
    expect(outcome).toMatch(/CONFLICT.*another thread of this process/)
  },
)
