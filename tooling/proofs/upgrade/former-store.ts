// Makes stores of format 2 of any size: the rows that the last version of it left, and as many more blobs as are asked for.
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { crc32, gunzipSync } from 'node:zlib'
import { readerOf, type Writer, writerOf } from '@stored/ledger'
import { ExclusiveIndex, type LmdbLedger } from '@stored/lmdb'

const FIXTURE = fileURLToPath(new URL('../../../packages/node/test/format-2/last.json.gz', import.meta.url))
const TREES = ['meta', 'blobs', 'keys', 'bytes', 'due', 'running', 'parked', 'owed', 'counts', 'events']
const PAGE = 500
const FIRST = Buffer.alloc(0)
const LAST = Buffer.alloc(1978, 0xff)
const NOTHING = Buffer.alloc(0)
/** Which of the blobs are owed still, their bytes staged. */
const OWED_EVERY = 10

/** The bytes of a blob that is owed. */
export function bytesOf(i: number): Buffer {
  return Buffer.from(`what blob ${i} holds`)
}

export function keyOf(i: number): string {
  return `blobs of the proof/${i % 100}/${i}`
}

export function isOwed(i: number): boolean {
  return i % OWED_EVERY === 0
}

/** Makes one in a directory that is not there yet. */
export async function makeFormerStore(directory: string, blobs: number): Promise<void> {
  const { files } = JSON.parse(gunzipSync(readFileSync(FIXTURE)).toString()) as { files: Record<string, string> }
  for (const [name, bytes] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true })
    writeFileSync(join(directory, name), Buffer.from(bytes, 'base64'))
  }
  const index = await ExclusiveIndex.open({ path: directory, reserve: 0 })
  try {
    await index.replace(async (ledger) => {
      for (const tree of TREES) await copy(index, ledger, tree)
      for (let i = 0; i < blobs; i += PAGE)
        await ledger.transact((tx) => {
          for (let j = i; j < Math.min(i + PAGE, blobs); j++) writeBlob(writerOf(tx), j)
        })
      const format = await ledger.look((view) =>
        readerOf(view).get('meta', Buffer.from('format'), (value) => value.length),
      )
      await ledger.transact((tx) => {
        const number = Buffer.alloc(format ?? 6)
        number[number.length - 1] = 2
        writerOf(tx).put('meta', Buffer.from('format'), number)
      })
    })
  } finally {
    await index.close()
  }
}

async function copy(from: ExclusiveIndex, to: LmdbLedger, tree: string): Promise<void> {
  for (let start = FIRST; ; ) {
    const page = from.range(tree, { from: start, to: LAST, limit: PAGE })
    await to.transact((tx) => {
      for (const [key, value] of page) if (key.toString() !== 'seq') writerOf(tx).put(tree, key, value)
    })
    const last = page.at(-1)
    if (page.length < PAGE || !last) return
    start = Buffer.concat([last[0], Buffer.of(0)])
  }
}

/** One blob, one key, one copy: on its backend, or owed to it. */
function writeBlob(writer: Writer, i: number): void {
  const bytes = bytesOf(i)
  const hash = createHash('sha256').update(bytes).digest()
  const id = `sha256:${hash.toString('hex')}`
  const key = keyOf(i)
  const created = 1_796_000_000_000 + i
  const size = bytes.length
  const facts = {
    size,
    checksums: { sha256: hash.toString('hex') },
    mimeType: 'text/plain',
    custom: { i },
    created,
    modified: created,
  }
  const blob = (tag: string, suffix = '') => Buffer.concat([hash, Buffer.from(`\0${tag}${suffix}`)])
  const named = (tag: string, suffix = '') => Buffer.from(`${key}\0${tag}${suffix}`)
  const state = isOwed(i) ? { state: 'pending' } : { state: 'synced', etag: String(i), verified: created }
  writer.put('blobs', blob('F'), rowOf(facts))
  writer.put('blobs', blob('K', key), NOTHING)
  writer.put('blobs', blob(isOwed(i) ? 'L' : 'N', `a\0${key}`), NOTHING)
  writer.put('keys', named('B'), rowOf({ id }))
  writer.put('keys', named('L', 'a'), rowOf({ id, ...state }))
  if (!isOwed(i)) return
  const number = (value: number) => Buffer.from(value.toString(16).padStart(12, '0'), 'hex')
  writer.put('blobs', blob('S'), rowOf({ size, commit: i + 1 }))
  writer.put('bytes', Buffer.concat([number(i + 1), hash]), bytes)
  writer.put('keys', named('W', 'a'), rowOf({ op: 'put', id, size, attempts: 0, seq: created, created, due: created }))
}

/** As a row of format 2 is written. */
function rowOf(value: unknown): Buffer {
  const json = Buffer.from(JSON.stringify(value))
  const row = Buffer.alloc(11 + json.length)
  row[0] = 1
  row.writeUIntBE(1, 5, 6)
  row.set(json, 11)
  row.writeUInt32BE(crc32(row.subarray(5)), 1)
  return row
}
