import type { BlobId } from '@stored/core'
import { MemoryLedger, write } from '@stored/lmdb'
import { beforeEach, describe, expect, test } from 'vitest'
import { BlobIndex } from './blob-index.ts'

const ID: BlobId = `sha256:${'a'.repeat(64)}`
const PLACE = { backend: 'x', key: 'k' }
const facts = {
  id: ID,
  checksums: { sha256: 'a' },
  size: 1,
  mimeType: 'text/plain',
  created: 1,
  modified: 1,
  custom: {},
}

let ledger: MemoryLedger
let index: BlobIndex

beforeEach(async () => {
  ledger = new MemoryLedger()
  index = new BlobIndex(ledger)
  await ledger.transact((tx) => {
    index.keep(tx, facts)
    index.bind(tx, 'k', ID)
    index.locate(tx, { ...PLACE, id: ID, state: 'synced' })
  })
})

/** Changes every row of a tree. */
function spoil(tree: 'blobs' | 'keys', change: (row: Buffer) => Buffer): Promise<unknown> {
  const rows = ledger.range(tree, { from: Buffer.alloc(0), to: Buffer.alloc(40, 0xff) })
  return ledger.transact((tx) => {
    for (const [key, row] of rows) if (row.length > 0) write(tx, (writer) => writer.put(tree, key, change(row)))
  })
}

const flip = (row: Buffer) => {
  row[row.length - 1] = (row[row.length - 1] as number) ^ 1
  return row
}
const collect = async (items: AsyncIterable<unknown>) => {
  for await (const _ of items);
}
const reads: [string, () => Promise<unknown>][] = [
  ['binding()', () => index.binding('k')],
  ['known()', () => index.known(ID)],
  ['location()', () => index.location(PLACE)],
  ['bindings()', () => collect(index.bindings({ signal: new AbortController().signal }))],
  ['located()', () => collect(index.located({ backend: 'x', signal: new AbortController().signal }))],
]

test('has() is whether known() has an answer, whatever places are left', async () => {
  expect(await index.has(ID)).toBe(true)
  await ledger.transact((tx) => index.forget(tx, ID))
  expect(await index.has(ID)).toBe(false)
  expect(await index.known(ID)).toBeNull()
})

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
    index.bind(tx, 'new', ID)
    index.bind(tx, 'k', ID)
  })
  await expect(failing).rejects.toMatchObject({ code: 'CORRUPT' })
  expect(await index.binding('new')).toBeNull()
})

test('a row says nothing twice: neither id, key nor backend are in the JSON of what they are the key of', async () => {
  const json = (tree: 'blobs' | 'keys', key: string) =>
    ledger.get(tree, Buffer.from(key, 'latin1'), (row) => row.toString('utf8', 11))
  const partition = Buffer.alloc(32, 0xaa).toString('latin1')
  expect(json('blobs', `${partition}\0F`)).not.toContain('"id"')
  expect(json('keys', 'k\0B')).toBe(JSON.stringify({ id: ID }))
  expect(json('keys', 'k\0Lx')).toBe(JSON.stringify({ id: ID, state: 'synced' }))
})
