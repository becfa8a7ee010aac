import type { BlobId, Transaction } from '@stored/core'
import { encodeRow, type Reader, writerOf } from '@stored/ledger'
import {
  decodeFormer,
  type FormerRow,
  partsOf,
  type Rewrite,
  type Rewriter,
  told,
  unreadable,
} from '@stored/ledger/format-2'
import { DurableStaging, type DurableStagingOptions } from './staging.ts'

type FormerStaged = { readonly size: number } & ({ readonly commit: number } | { readonly file: string })

/** When a blob was marked; `null`: by an earlier version, whose number of the commit says how long ago. */
type FormerMark = { readonly at: number } | null

/** Keeps what was staged by a store of format 2: small bytes are written again, files stay where they are. Nothing is swept or removed. */
export class UpgradedStaging extends DurableStaging {
  static override async open(options: DurableStagingOptions): Promise<UpgradedStaging> {
    return new UpgradedStaging(await UpgradedStaging.prepare(options))
  }

  readonly rewrite: Rewriter = (row, former) => {
    if (row.tree === 'meta') return metaOf(row)
    if (row.tree === 'blobs') return this.#ofBlob(row, former)
    if (row.tree !== 'bytes') return null
    // Bytes, files and marks come with the rows of their blobs.
    return row.key[0] === SWEPT ? (tx) => writerOf(tx).put('bytes', row.key, row.value) : told
  }

  #ofBlob(row: FormerRow, former: Reader): Rewrite | null {
    const { partition, tag } = partsOf(row)
    const id: BlobId = `sha256:${partition.toString('hex')}`
    if (tag === 'R') {
      const { value, ticket } = decodeFormer<FormerMark>(row)
      return (tx) => this.markReleasableAt(tx, id, value?.at ?? Number(ticket))
    }
    if (tag !== 'S') return null
    const staged = decodeFormer<FormerStaged>(row).value
    const bytes = 'file' in staged ? undefined : bytesOf(former, staged.commit, partition)
    const { size } = staged
    const share = this.room.share({ signal: NEVER, whenFull: 'refuse' })
    const at = { share, kept: false, size, [Symbol.asyncDispose]: async () => {} }
    const received = 'file' in staged ? { ...at, file: staged.file } : { ...at, bytes: bytes as Buffer }
    return Object.assign((tx: Transaction) => this.keep(tx, id, received), { bytes: bytes?.length ?? 0 })
  }
}

const SWEPT = 'X'.charCodeAt(0)
const NEVER = new AbortController().signal

function metaOf(row: FormerRow): Rewrite | null {
  const kind = row.key.toString()
  if (kind === 'staged') return told
  if (kind !== 'store') return null
  const { value } = decodeFormer(row)
  return (tx) => writerOf(tx).put('meta', row.key, encodeRow(value, tx.ticket))
}

/** @throws {StorageError} CORRUPT: they are gone. */
function bytesOf(former: Reader, commit: number, partition: Buffer): Buffer {
  const key = Buffer.alloc(38)
  key.writeUIntBE(commit, 0, 6)
  key.set(partition, 6)
  const bytes = former.get('bytes', key, (value) => Buffer.from(value))
  if (bytes) return bytes
  throw unreadable('bytes', key)
}
