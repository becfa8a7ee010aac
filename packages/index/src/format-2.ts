import type { BlobFacts, BlobId, KeyFacts, LocationFacts, NewBinding, Place, Tenure } from '@stored/core'
import { after, type Reader, scan, type Tree } from '@stored/ledger'
import {
  decodeFormer,
  type FormerRow,
  partsOf,
  type Rewrite,
  type Rewriter,
  told,
  unreadable,
} from '@stored/ledger/format-2'
import type { BlobIndex } from './blob-index.ts'
import { blobPartition, deletionOf, placeOf } from './keys.ts'

/** Beside a blob: its keys, and its places by what they are asked for. */
const NAMES = 'KGHLMNOPQ'

/** What a caller said of a key was kept of its blob: the same for all keys. */
interface FormerFacts extends Omit<BlobFacts, 'id'>, KeyFacts {
  readonly generation?: number
  readonly deleting?: true
}

/** Blobs whose shared copies are remembered. */
const MOST_KNOWN = 10_000

interface FormerBinding {
  readonly id: BlobId
  readonly generation?: number
}

type FormerLocation = Omit<LocationFacts, keyof Place> & { readonly generation?: number }

/** What becomes of the rows of an index of format 2. Those that name a place beside its blob, and the marks of bad copies, follow from the row of the place. */
export function rewriterOf(index: BlobIndex): Rewriter {
  const sharedOf = remembered(sharedBackends)
  return (row, former) => {
    const { tree } = row
    if (tree === 'meta') return metaOf(index, row)
    if (tree === 'blobs') return ofBlob(index, row)
    return tree === 'keys' ? ofKey(index, row, former, sharedOf) : null
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
  const { checksums, size, generation, deleting } = value
  const facts = { checksums, size, ...(generation !== undefined && { generation }), ...(deleting && { deleting }) }
  return (tx) => index.restore(tx, { type: 'facts', id, row: facts })
}

type SharedOf = (former: Reader, id: BlobId) => readonly string[]

function ofKey(index: BlobIndex, row: FormerRow, former: Reader, sharedOf: SharedOf): Rewrite | null {
  const { partition, tag, suffix } = partsOf(row)
  const key = partition.toString()
  if (tag === 'B') {
    const { value } = decodeFormer<FormerBinding>(row)
    const binding = bindingOf(former, key, value, sharedOf)
    return (tx) => index.restore(tx, { type: 'binding', key, row: binding })
  }
  if (tag !== 'L') return null
  const { value } = decodeFormer<FormerLocation>(row)
  return (tx) => index.restore(tx, { type: 'location', place: { backend: suffix.toString(), key }, row: value })
}

/** What was said of the blob is said of each of its keys. A key wants the copies that it has, and those that all keys of the blob shared. */
function bindingOf(former: Reader, key: string, { id, generation }: FormerBinding, sharedOf: SharedOf) {
  const at = Buffer.concat([blobPartition(id), Buffer.from('\0F')])
  const facts = rowOf<FormerFacts>(former, 'blobs', at)
  if (!facts) throw unreadable('blobs', at)
  const { size, mimeType, created, modified, custom } = facts
  // A key of a former generation goes with a deletion, which gave up what was shared.
  const isLive = !facts.deleting && (facts.generation ?? 0) === (generation ?? 0)
  const own = ownBackends(former, key, id).map((backend) => [backend, 'own'] as const)
  const shared = isLive ? sharedOf(former, id).map((backend) => [backend, 'shared'] as const) : []
  const wanted: NewBinding['wanted'] = Object.fromEntries([...own, ...shared])
  const ofKey = { id, size, mimeType, created, modified, custom, wanted }
  return { ...ofKey, ...(generation !== undefined && { generation }) }
}

/** Where a key has an object of its own. */
function ownBackends(former: Reader, key: string, id: BlobId): string[] {
  const first = Buffer.from(`${key}\0L`)
  return former.range('keys', { from: first, to: after(first) }).flatMap(([name, value]) => {
    const location = decodeFormer<FormerLocation>({ tree: 'keys', key: name, value }).value
    const isOwn = location.id === id && location.state !== 'deleting' && !location.shared
    return isOwn ? name.toString('utf8', first.length) : []
  })
}

/** Where all keys of a blob share an object. Its place is named by the blob: others are not looked at. */
function sharedBackends(former: Reader, id: BlobId): string[] {
  const partition = blobPartition(id)
  const from = Buffer.concat([partition, Buffer.from('\0L')])
  const to = Buffer.concat([partition, Buffer.from('\0Q')])
  const hash = partition.toString('hex')
  const backends = new Set<string>()
  for (const [name] of scan(former, 'blobs', from, to)) {
    const { backend, key } = placeOf(name.subarray(partition.length + 2))
    if (!key.endsWith(hash)) continue
    const location = rowOf<FormerLocation>(former, 'keys', Buffer.from(`${key}\0L${backend}`))
    if (location?.id === id && location.shared && location.state !== 'deleting') backends.add(backend)
  }
  return [...backends].sort()
}

function rowOf<T>(former: Reader, tree: Tree, key: Buffer): T | undefined {
  return former.get(tree, key, (value) => decodeFormer<T>({ tree, key, value }).value)
}

/** Keys of one blob may lie anywhere among others, and a blob with many keys has many places. */
function remembered(sharedOf: SharedOf): SharedOf {
  const known = new Map<BlobId, readonly string[]>()
  return (former, id) => {
    const found = known.get(id) ?? sharedOf(former, id)
    if (known.size >= MOST_KNOWN) known.clear()
    known.set(id, found)
    return found
  }
}
