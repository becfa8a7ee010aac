import type { BlobId, LocationFacts, LocationState, View } from '@stored/core'
import { MemoryLedger, writerOf } from '@stored/ledger'
import fc from 'fast-check'
import { beforeEach, describe, expect, test } from 'vitest'
import { BlobIndex } from './blob-index.ts'

const ID: BlobId = `sha256:${'a'.repeat(64)}`
const PLACE = { backend: 'x', key: 'k' }
const facts = { id: ID, checksums: { sha256: 'a' }, size: 1 }
const ofKey = { id: ID, size: 1, mimeType: 'text/plain', created: 1, modified: 1, custom: {} }
const bound = { key: 'k', ...ofKey, wanted: { x: 'own' } } as const

let ledger: MemoryLedger
let index: BlobIndex

beforeEach(async () => {
  ledger = new MemoryLedger()
  index = new BlobIndex(ledger)
  await ledger.transact((tx) => {
    index.keep(tx, facts)
    index.bind(tx, bound)
    index.locate(tx, { ...PLACE, id: ID, state: 'synced' })
  })
})

/** Changes every row of a tree. */
function spoil(tree: 'blobs' | 'keys', change: (row: Buffer) => Buffer): Promise<unknown> {
  const rows = ledger.range(tree, { from: Buffer.alloc(0), to: Buffer.alloc(40, 0xff) })
  return ledger.transact((tx) => {
    for (const [key, row] of rows) if (row.length > 0) writerOf(tx).put(tree, key, change(Buffer.from(row)))
  })
}

const flip = (row: Buffer) => {
  row[row.length - 1] = (row[row.length - 1] as number) ^ 1
  return row
}
const look = <T>(read: (view: View) => T) => ledger.look(read)
const reads: [string, () => Promise<unknown>][] = [
  ['binding()', () => look((view) => index.binding(view, 'k'))],
  ['facts()', () => look((view) => index.facts(view, ID))],
  ['location()', () => look((view) => index.location(view, PLACE))],
  ['locations()', () => look((view) => index.locations(view, ID, 'synced'))],
  ['bindings()', () => look((view) => index.bindings(view, {}))],
  ['located()', () => look((view) => index.located(view, { backend: 'x' }))],
]

describe.each(reads)('%s', (_, read) => {
  test('of a damaged row rejects CORRUPT', async () => {
    await spoil('keys', flip)
    await spoil('blobs', flip)
    await expect(read()).rejects.toMatchObject({ code: 'CORRUPT' })
  })

  test('of a row of a newer format rejects INCOMPATIBLE', async () => {
    const newer = (row: Buffer) => Buffer.concat([Buffer.of(2), row.subarray(1)])
    await spoil('keys', newer)
    await spoil('blobs', newer)
    await expect(read()).rejects.toMatchObject({ code: 'INCOMPATIBLE' })
  })
})

test('a write over a damaged row rejects CORRUPT and writes nothing', async () => {
  await spoil('keys', flip)
  const failing = ledger.transact((tx) => {
    index.bind(tx, { ...bound, key: 'new' })
    index.bind(tx, bound)
  })
  await expect(failing).rejects.toMatchObject({ code: 'CORRUPT' })
  expect(await look((view) => index.binding(view, 'new'))).toBeNull()
})

test('a row says nothing twice: neither id, key nor backend are in the JSON of what they are the key of', async () => {
  const json = (tree: 'blobs' | 'keys', key: string) =>
    ledger.get(tree, Buffer.from(key, 'latin1'), (row) => row.toString('utf8', 11))
  const partition = Buffer.alloc(32, 0xaa).toString('latin1')
  expect(json('blobs', `${partition}\0F`)).not.toContain('"id"')
  expect(json('keys', 'k\0B')).toBe(JSON.stringify({ ...ofKey, wanted: { x: 'own' } }))
  expect(json('keys', 'k\0Lx')).toBe(JSON.stringify({ id: ID, state: 'synced' }))
})

describe('bad()', () => {
  const BACKENDS = ['x', 'y'] as const
  const KEYS = ['a', 'b', 'ä'] as const
  const BAD = ['failed', 'conflict', 'missing', 'corrupt', 'unknown'] as const
  const states = fc.constantFrom<LocationState | 'ended' | null>('pending', 'synced', 'deleting', ...BAD, 'ended', null)
  const steps = fc.array(fc.tuple(fc.constantFrom(...BACKENDS), fc.constantFrom(...KEYS), states), { maxLength: 30 })

  const all = async () =>
    Promise.all(
      BACKENDS.flatMap((backend) =>
        BAD.map(async (state) => [backend, state, await look((view) => index.bad(view, { backend, state, limit: 9 }))]),
      ),
    )

  /** The same, by a look at every place. */
  async function looked(): Promise<unknown[]> {
    const found: LocationFacts[] = []
    for (const backend of BACKENDS)
      for (const key of KEYS)
        found.push(...[await look((view) => index.location(view, { backend, key }))].flatMap((one) => one ?? []))
    return BACKENDS.flatMap((backend) =>
      BAD.map((state) => [
        backend,
        state,
        found.filter((one) => one.backend === backend && one.state === state).map(({ key }) => key),
      ]),
    )
  }

  test('names the places that stand so, whatever became of them before', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (run) => {
        ledger = new MemoryLedger()
        index = new BlobIndex(ledger)
        for (const [backend, key, state] of run)
          await ledger.transact((tx) => {
            if (state === 'ended') index.endTenure(tx, backend)
            else if (state === null) index.unlocate(tx, { backend, key })
            else index.locate(tx, { backend, key, id: ID, state })
          })
        if (run.every(([, , state]) => state !== 'ended')) expect(await all()).toEqual(await looked())
        // A backend that was removed leaves marks to be written.
        await index.complete()
        expect(await all()).toEqual(await looked())
      }),
    )
  })

  test('names all that was left by a backend removed while it is completed', async () => {
    await ledger.transact((tx) => {
      for (const key of KEYS) index.locate(tx, { backend: 'y', key, id: ID, state: 'synced' })
      index.endTenure(tx, 'x')
    })
    const transact = ledger.transact.bind(ledger)
    ledger.transact = async (plan) => {
      ledger.transact = transact
      await transact((tx) => index.endTenure(tx, 'y'))
      return transact(plan)
    }
    await index.complete()
    expect(await look((view) => index.bad(view, { backend: 'y', state: 'unknown', limit: 9 }))).toEqual([...KEYS])
  })

  test('goes on where it was cut off between two pages', async () => {
    const keys = Array.from({ length: 1200 }, (_, i) => `k${String(i).padStart(4, '0')}`)
    await index.complete()
    await ledger.transact((tx) => {
      for (const key of keys) index.locate(tx, { backend: 'y', key, id: ID, state: 'synced' })
      index.endTenure(tx, 'y')
    })
    const abort = new AbortController()
    const marked = () => look((view) => index.bad(view, { backend: 'y', state: 'unknown', limit: 2000 }))
    const transact = ledger.transact.bind(ledger)
    ledger.transact = (plan) => {
      abort.abort()
      return transact(plan)
    }
    await expect(index.complete(abort.signal)).rejects.toThrow(/abort/)
    expect(await marked()).toHaveLength(500)
    await index.complete()
    expect(await marked()).toEqual(keys)
  })

  test('names a copy that is written down as what it is read as, before it was marked', async () => {
    await ledger.transact((tx) => index.endTenure(tx, 'x'))
    await ledger.transact((tx) => index.locate(tx, { ...PLACE, id: ID, state: 'unknown' }))
    expect(await look((view) => index.bad(view, { backend: 'x', state: 'unknown', limit: 9 }))).toEqual(['k'])
  })

  test('names no more than it is asked for', async () => {
    await ledger.transact((tx) => {
      for (const key of KEYS) index.locate(tx, { backend: 'x', key, id: ID, state: 'missing' })
    })
    expect(await look((view) => index.bad(view, { backend: 'x', state: 'missing', limit: 2 }))).toEqual(['a', 'b'])
  })
})
