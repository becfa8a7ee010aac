import type { FileHandle } from 'node:fs/promises'
import { StorageError } from '@stored/core/backend'

/*
 * The layout of LMDB's file, little-endian, as far as it is looked at.
 *
 * @see MDB_page_header, MDB_meta, MDB_db and MDB_node in mdb.c of lmdb 3.5.6
 */

const MAGIC = 0xbeefc0de
const VERSION = 2
/** Of a page. */
const HEADER = { number: 0, flags: 18, lower: 20, bytes: 24 } as const
const FLAG = { branch: 1, leaf: 2, meta: 8 } as const
/** Of the first two pages, which hold two trees: that of free pages, whose flags tell those of the file too, and that of all others. */
const META = {
  magic: 24,
  version: 28,
  pageSize: 48,
  freeFlags: 52,
  freeRoot: 88,
  mainFlags: 100,
  mainRoot: 136,
  lastPage: 144,
  commit: 152,
  bytes: 160,
} as const
/** What stands in `freeFlags`: its keys are numbers. */
const INTEGER_KEYS = 8
/** What may stand there too: the file lies in no directory of its own; what opened it last published before it flushed. */
const ALSO = 0x4000 | 0x1000
/** Of a row on a page: behind it key, then value. */
const NODE = { pageLow: 0, flags: 4, keyBytes: 6, bytes: 8 } as const
/** Says that the value is a tree of its own. */
const IS_TREE = 2
/** Of a tree, in the value of its row. */
const TREE = { flags: 4, root: 40, bytes: 48 } as const
/** An empty tree has no root. */
const NONE = 0xffff_ffff_ffff_ffffn

/** The pages that are looked at, from the roots downwards: those that any read or write goes through come first. */
const MOST_PAGES = 256

/** What ends the process as soon as LMDB reads it is an error here. */
class Damage extends Error {}

/**
 * Looks through a file of LMDB's before LMDB does, which takes what it reads there for sound: a wrong number is an address to it, and
 * a page that the file should have and has not is read as memory. Nobody may commit meanwhile.
 *
 * Everything is looked at that tells of all others (both meta pages, the size of the file), then pages from the roots of its trees
 * downwards, as many as take no time. What is damaged further down is met by whoever reads it.
 *
 * @throws {StorageError} CORRUPT, with the name of the file as `at.key`.
 */
export async function inspect(handle: FileHandle, name: string): Promise<void> {
  try {
    // A file that another process fills at this moment is empty or whole.
    const { size } = await handle.stat()
    if (size > 0) await look(handle, size)
  } catch (error) {
    if (error instanceof Damage) throw new StorageError('CORRUPT', { op: 'open', key: name }, { detail: error.message })
    throw error
  }
}

interface Meta {
  readonly pageSize: number
  readonly pages: number
  readonly commit: bigint
  readonly roots: readonly bigint[]
}

async function look(handle: FileHandle, found: number): Promise<void> {
  if (found < META.bytes) throw new Damage(`it was cut off: ${found} bytes are there`)
  const first = metaOf(await bytesAt(handle, 0, META.bytes))
  requireSize(first, found)
  const second = metaOf(await bytesAt(handle, first.pageSize, META.bytes))
  if (second.pageSize !== first.pageSize) throw new Damage('its two beginnings differ')
  requireSize(second, found)
  await lookBelow(handle, second.commit > first.commit ? second : first)
}

function requireSize({ pages, pageSize }: Meta, size: number): void {
  const end = pages * pageSize
  if (size < end) throw new Damage(`it was cut off: ${size} of ${end} bytes are there`)
}

function metaOf(page: Buffer): Meta {
  const isMeta = (page.readUInt16LE(HEADER.flags) & FLAG.meta) !== 0
  if (!isMeta || page.readUInt32LE(META.magic) !== MAGIC) throw new Damage('it is no LMDB file')
  if ((page.readUInt32LE(META.version) & 0xffff) !== VERSION) throw new Damage('it is of another version of LMDB')
  const pageSize = page.readUInt32LE(META.pageSize)
  const isPower = (pageSize & (pageSize - 1)) === 0
  const flags = page.readUInt16LE(META.freeFlags)
  const lastPage = page.readBigUInt64LE(META.lastPage)
  const commit = page.readBigUInt64LE(META.commit)
  const isSound =
    isPower &&
    pageSize >= 256 &&
    pageSize <= 65_536 &&
    (flags & ~ALSO) === INTEGER_KEYS &&
    page.readUInt16LE(META.mainFlags) === 0 &&
    lastPage >= 1n &&
    lastPage < 2n ** 40n &&
    commit < 2n ** 53n
  if (!isSound) throw new Damage('its beginning is damaged')
  const roots = [META.freeRoot, META.mainRoot].map((offset) => page.readBigUInt64LE(offset))
  return { pageSize, pages: Number(lastPage) + 1, commit, roots }
}

/** Breadth first. */
async function lookBelow(handle: FileHandle, { pageSize, pages, roots }: Meta): Promise<void> {
  const seen = new Set<bigint>()
  for (let level = [...roots]; level.length > 0; ) {
    const wanted = new Set(level.filter((number) => number !== NONE && !seen.has(number)))
    const next = [...wanted].slice(0, MOST_PAGES - seen.size)
    const below = next.map(async (number) => {
      seen.add(number)
      if (number < 2n || number >= BigInt(pages)) throw new Damage(`it names a page ${number} of ${pages}`)
      return pagesBelow(await bytesAt(handle, Number(number) * pageSize, pageSize), number)
    })
    level = (await Promise.all(below)).flat()
  }
}

/** The numbers of the pages that a page of a tree leads to: those of the next level, or the roots of other trees. */
function pagesBelow(page: Buffer, number: bigint): bigint[] {
  const flags = page.readUInt16LE(HEADER.flags)
  const isBranch = (flags & FLAG.branch) !== 0
  const rows = page.readUInt16LE(HEADER.lower) / 2
  const isTreePage = isBranch !== ((flags & FLAG.leaf) !== 0)
  const isOwn = page.readBigUInt64LE(HEADER.number) === number
  const damaged = new Damage(`page ${number} is damaged`)
  if (!isOwn || !isTreePage || rows < 1 || HEADER.bytes + rows * 2 > page.length) throw damaged
  const below: bigint[] = []
  for (let i = 0; i < Math.floor(rows); i++) {
    const at = HEADER.bytes + page.readUInt16LE(HEADER.bytes + 2 * i)
    if (at + NODE.bytes > page.length) throw damaged
    const value = at + NODE.bytes + page.readUInt16LE(at + NODE.keyBytes)
    if (isBranch) below.push(BigInt(page.readUIntLE(at + NODE.pageLow, 6)))
    else if ((page.readUInt16LE(at + NODE.flags) & IS_TREE) !== 0) {
      const isSound = value + TREE.bytes <= page.length && page.readUInt16LE(value + TREE.flags) === 0
      if (!isSound) throw damaged
      below.push(page.readBigUInt64LE(value + TREE.root))
    }
  }
  return below
}

/** Zeros where the file ends before. */
async function bytesAt(handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length)
  await handle.read(bytes, 0, length, position)
  return bytes
}
