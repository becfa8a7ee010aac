import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readdir, readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { StorageError } from '@stored/core/backend'
import { openStore } from '@stored/node'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ResumingBackend } from './resume.backend.ts'
import { collect, type TempDirectory, temp } from './temp.ts'

const BYTES = randomBytes(8 << 20)
const HALF = BYTES.length / 2

let dir: TempDirectory
let far: string
beforeEach(async () => {
  dir = await temp()
  far = path.join(dir.path, 'far')
})
afterEach(() => dir[Symbol.asyncDispose]())

const open = (backend: ResumingBackend, sync = true) =>
  openStore({ path: path.join(dir.path, 'store'), backends: { far: { backend } }, sync })

/** A store that owes the bytes, and was killed when half of them had arrived. */
async function killHalfWay(): Promise<void> {
  {
    await using store = await open(new ResumingBackend(far), false)
    await store.put(BYTES, { key: 'big' })
  }
  const child = fileURLToPath(new URL('resume.child.ts', import.meta.url))
  const running = spawn(process.execPath, [child, dir.path, String(HALF)], { stdio: ['ignore', 'ignore', 'inherit'] })
  expect(await once(running, 'exit')).toEqual([null, 'SIGKILL'])
}

/** Files that hold what arrived of a put. */
async function partials(): Promise<string[]> {
  return (await readdir(far)).filter((name) => name.startsWith('partial-'))
}

const stored = () => readFile(path.join(far, 'blobs', 'big'))

describe('a put that was killed half-way', () => {
  test('is gone on with by the next process: no byte that arrived is sent again', async () => {
    await killHalfWay()
    expect(await partials()).toHaveLength(1)
    const backend = new ResumingBackend(far)
    await using store = await open(backend)
    await store.synced()
    expect(backend.given).toEqual([expect.stringContaining('partial-')])
    expect(backend.brought).toBeLessThanOrEqual(HALF)
    expect((await stored()).equals(BYTES)).toBe(true)
    expect(await partials()).toEqual([])
  })

  test('begins anew where what arrived is gone', async () => {
    await killHalfWay()
    for (const name of await partials()) await rm(path.join(far, name))
    const backend = new ResumingBackend(far)
    await using store = await open(backend)
    await store.synced()
    expect(backend.brought).toBe(BYTES.length)
    expect((await stored()).equals(BYTES)).toBe(true)
  })

  test('leaves its checkpoint to the driver alone: neither jobs, events nor status tell it', async () => {
    await killHalfWay()
    const [partial] = (await partials()) as [string]
    const backend = new ResumingBackend(far)
    await using store = await open(backend)
    const told: unknown[] = [await collect(store.jobs())]
    for (const type of ['sync:start', 'sync:retry', 'sync:complete'] as const)
      store.on(type, (event) => told.push(event))
    await store.synced()
    told.push(await store.status(), await collect(store.events()), await store.stat('big'))
    expect(JSON.stringify(told)).toContain('sync:complete')
    expect(JSON.stringify(told)).not.toContain(partial)
  })
})

describe('a put that failed half-way', () => {
  const failingOnce = (error: StorageError): ResumingBackend => {
    let fails = true
    return new ResumingBackend(far, ({ brought }) => {
      if (!fails || brought < HALF) return
      fails = false
      throw error
    })
  }

  test('since the backend could not be reached is gone on with by the next try', async () => {
    const backend = failingOnce(new StorageError('UNAVAILABLE', { op: 'put' }))
    await using store = await open(backend)
    await store.put(BYTES, { key: 'big' })
    await store.synced()
    expect(backend.given).toEqual([undefined, expect.any(String)])
    expect(backend.brought).toBe(BYTES.length)
    expect((await stored()).equals(BYTES)).toBe(true)
  })

  test('for a reason that may lie in what arrived begins anew', async () => {
    const backend = failingOnce(new StorageError('CONFLICT', { op: 'put' }))
    await using store = await open(backend)
    await store.put(BYTES, { key: 'big' })
    await store.synced()
    expect(backend.given).toEqual([undefined, undefined])
    expect((await stored()).equals(BYTES)).toBe(true)
  })

  test('and was parked begins anew when it is retried', async () => {
    const backend = failingOnce(new StorageError('TOO_LARGE', { op: 'put' }))
    await using store = await open(backend)
    await store.put(BYTES, { key: 'big' })
    await expect(store.synced()).rejects.toMatchObject({ code: 'TOO_LARGE' })
    expect(await store.retry()).toBe(1)
    await store.synced()
    expect(backend.given).toEqual([undefined, undefined])
  })
})
