import { spawnSync } from 'node:child_process'
import { mkdtemp, readdir, rm, stat, truncate, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { BlobId } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import { MemoryLedger } from '@stored/lmdb'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { DurableStaging } from './staging.ts'

const ID: BlobId = `sha256:${'a'.repeat(64)}`
const NEVER = new AbortController().signal
const FILE = Buffer.alloc(100_000, 'a')

let directory: string
let ledger: MemoryLedger
let staging: DurableStaging

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'stored-staging-'))
  ledger = new MemoryLedger()
  staging = await DurableStaging.open({ ledger, path: directory })
})
afterEach(async () => {
  await staging.close()
  await rm(directory, { recursive: true, force: true })
})

const files = () => readdir(directory)
/** A source that says whether it was ended. */
function source(...chunks: Uint8Array[]) {
  const state = { isEnded: false }
  async function* body() {
    try {
      yield* chunks
    } finally {
      state.isEnded = true
    }
  }
  return Object.assign(body(), { state })
}
const receive = (...chunks: Uint8Array[]) => staging.receive(source(...chunks), { signal: NEVER })
async function keep(): Promise<string> {
  await using staged = await receive(FILE)
  await ledger.transact((tx) => staging.keep(tx, ID, staged))
  const [name] = await files()
  return path.join(directory, name as string)
}

describe('sweep()', () => {
  /** The pid of a process that has ended. */
  const deadPid = () => spawnSync('true').pid

  test('removes what a process that is gone left behind', async () => {
    await writeFile(path.join(directory, `${deadPid()}-debris`), 'x')
    await staging.sweep()
    expect(await files()).toEqual([])
  })

  test('leaves what a living process writes', async () => {
    const name = `${process.ppid}-writing`
    await writeFile(path.join(directory, name), 'x')
    expect(await staging.sweep()).toBe(0)
    expect(await files()).toEqual([name])
  })

  test('leaves what this process has received and not yet kept', async () => {
    await using _ = await receive(FILE)
    expect(await staging.sweep()).toBe(0)
    expect(await files()).toHaveLength(1)
  })

  test('removes what a process before us with our pid left behind', async () => {
    await writeFile(path.join(directory, `${process.pid}-debris`), 'x')
    await staging.sweep()
    expect(await files()).toEqual([])
  })

  test('leaves what is kept', async () => {
    await keep()
    expect(await staging.sweep()).toBe(0)
    expect(await files()).toHaveLength(1)
  })

  test('removes a released file that a crash kept from being unlinked', async () => {
    const file = await keep()
    await ledger.transact((tx) => staging.release(tx, ID))
    await expect.poll(files).toEqual([])
    await writeFile(file, FILE)
    await staging.sweep()
    expect(await files()).toEqual([])
  })

  test('leaves files that are not of its making', async () => {
    await writeFile(path.join(directory, 'README'), 'x')
    await writeFile(path.join(directory, 'x-12'), 'x')
    expect(await staging.sweep()).toBe(0)
  })

  test('is done by open(), behind its back', async () => {
    await writeFile(path.join(directory, `${deadPid()}-debris`), 'x')
    const second = await DurableStaging.open({ ledger, path: directory })
    await expect.poll(files).toEqual([])
    await second.close()
  })
})

describe('open()', () => {
  test('of a kept file that is gone rejects CORRUPT, not `null`', async () => {
    await unlink(await keep())
    await expect(staging.open(ID, { signal: NEVER })).rejects.toMatchObject({ code: 'CORRUPT' })
  })

  test('of a kept file that is too short gives what there is, then rejects CORRUPT', async () => {
    await truncate(await keep(), 10)
    await using opened = await staging.open(ID, { signal: NEVER })
    const read: Uint8Array[] = []
    const reading = async () => {
      for await (const chunk of opened?.body ?? []) read.push(chunk)
    }
    await expect(reading()).rejects.toMatchObject({ code: 'CORRUPT' })
    expect(Buffer.concat(read)).toHaveLength(10)
  })
})

describe('receive()', () => {
  test('below the reserve of the disk rejects NO_SPACE, small or large, ends its source and leaves nothing', async () => {
    ledger.requireSpace = () => {
      throw new StorageError('NO_SPACE', { op: 'put' })
    }
    for (const chunks of [[Buffer.from('a')], [FILE, FILE]]) {
      const body = source(...chunks)
      await expect(staging.receive(body, { signal: NEVER })).rejects.toMatchObject({ code: 'NO_SPACE' })
      expect(body.state.isEnded).toBe(true)
    }
    expect(await files()).toEqual([])
  })

  test('asks for the space of every byte before it is written', async () => {
    let asked = 0
    ledger.requireSpace = (bytes = 0) => {
      asked += bytes
    }
    await using _ = await receive(FILE, FILE)
    expect(asked).toBe(2 * FILE.length)
  })

  test('into a directory that is gone rejects and ends its source', async () => {
    await rm(directory, { recursive: true })
    const body = source(FILE, FILE)
    await expect(staging.receive(body, { signal: NEVER })).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(body.state.isEnded).toBe(true)
  })

  test('with inlineMax 0 makes a file of the smallest blob', async () => {
    const strict = await DurableStaging.open({ ledger, path: directory, inlineMax: 0 })
    await using _ = await strict.receive(source(Buffer.from('a')), { signal: NEVER })
    expect(await files()).toHaveLength(1)
    await strict.close()
  })

  test('makes files that no other user can read', async () => {
    expect((await stat(await keep())).mode & 0o777).toBe(0o600)
  })
})

test('open() of a path below a file rejects', async () => {
  await expect(DurableStaging.open({ ledger, path: '/dev/null/staging' })).rejects.toMatchObject({
    code: 'KEY_CONFLICT',
  })
})
