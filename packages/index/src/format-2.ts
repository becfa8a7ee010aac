import type { BlobFacts, BlobId, LocationFacts, Place, Tenure } from '@stored/core'
import { decodeFormer, type FormerRow, partsOf, type Rewrite, type Rewriter, told } from '@stored/ledger/format-2'
import type { BlobIndex } from './blob-index.ts'
import { deletionOf } from './keys.ts'

/** Beside a blob: its keys, and its places by what they are asked for. */
const NAMES = 'KGHLMNOPQ'

interface FormerFacts extends Omit<BlobFacts, 'id'> {
  readonly generation?: number
  readonly deleting?: true
}

interface FormerBinding {
  readonly id: BlobId
  readonly generation?: number
}

type FormerLocation = Omit<LocationFacts, keyof Place> & { readonly generation?: number }

/** What becomes of the rows of an index of format 2. Those that name a place beside its blob, and the marks of bad copies, follow from the row of the place. */
export function rewriterOf(index: BlobIndex): Rewriter {
  return (row) => {
    const { tree } = row
    if (tree === 'meta') return metaOf(index, row)
    if (tree === 'blobs') return ofBlob(index, row)
    return tree === 'keys' ? ofKey(index, row) : null
  }
}

function metaOf(index: BlobIndex, row: FormerRow): Rewrite | null {
  const [kind, name = ''] = row.key.toString().split('\0')
  if (kind === 'bad' || kind === 'bad-copies' || kind === 'place-rows') return told
  if (kind === 'deleting') {
    const id = deletionOf(row.key)
    return (tx) => index.restore(tx, { type: 'deletion', id })
  }
  if (kind === 'medium') {
    const { value } = decodeFormer<string>(row)
    return (tx) => index.setMedium(tx, name, value)
  }
  if (kind !== 'tenure') return null
  const { value } = decodeFormer<Tenure>(row)
  return (tx) => index.restore(tx, { type: 'tenure', backend: name, row: value })
}

function ofBlob(index: BlobIndex, row: FormerRow): Rewrite | null {
  const { partition, tag } = partsOf(row)
  if (NAMES.includes(tag)) return told
  if (tag !== 'F') return null
  const id: BlobId = `sha256:${partition.toString('hex')}`
  const { value } = decodeFormer<FormerFacts>(row)
  return (tx) => index.restore(tx, { type: 'facts', id, row: value })
}

function ofKey(index: BlobIndex, row: FormerRow): Rewrite | null {
  const { partition, tag, suffix } = partsOf(row)
  const key = partition.toString()
  if (tag === 'B') {
    const { value } = decodeFormer<FormerBinding>(row)
    return (tx) => index.restore(tx, { type: 'binding', key, row: value })
  }
  if (tag !== 'L') return null
  const { value } = decodeFormer<FormerLocation>(row)
  return (tx) => index.restore(tx, { type: 'location', place: { backend: suffix.toString(), key }, row: value })
}
