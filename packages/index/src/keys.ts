import type { BlobId, KeyGroup, NewBinding, Place } from '@stored/core'

/** The 32 bytes of an id. */
export function blobPartition(id: BlobId): Buffer {
  return Buffer.from(id.slice('sha256:'.length), 'hex')
}

/** Neither a backend's name nor a key holds a NUL. */
export function placeSuffix({ backend, key }: Place): Buffer {
  return Buffer.from(`${backend}\0${key}`)
}

/** Behind the name of a backend: the generation of a confirmed copy, unless it is the first. No name holds a control character. */
const GENERATION = '\u0002'

/** Confirmed places of one generation of a backend lie side by side. */
export function confirmedSuffix({ backend, key }: Place, generation: number): Buffer {
  return placeSuffix({ backend: generation === 0 ? backend : `${backend}${GENERATION}${generation}`, key })
}

export function placeOf(suffix: Buffer): Place {
  const { backend, key } = confirmedOf(suffix)
  return { backend, key }
}

export function confirmedOf(suffix: Buffer): Place & { readonly generation: number } {
  const text = suffix.toString()
  const end = text.indexOf('\0')
  const [backend = '', generation = '0'] = text.slice(0, end).split(GENERATION)
  return { backend, key: text.slice(end + 1), generation: Number(generation) }
}

export function mediumKey(backend: string): Buffer {
  return Buffer.from(`medium\0${backend}`)
}

export function tenureKey(backend: string): Buffer {
  return Buffer.from(`tenure\0${backend}`)
}

/** Of the keys of a later generation: their rows lie behind those of the one before. */
export function generationPrefix(generation: number): Buffer {
  const prefix = Buffer.alloc(4)
  prefix.writeUInt32BE(generation)
  return prefix
}

const DELETING = 'deleting\0'

export function deletionKey(id: BlobId | ''): Buffer {
  return Buffer.from(`${DELETING}${id}`)
}

export function deletionOf(key: Buffer): BlobId {
  return key.toString('utf8', DELETING.length) as BlobId
}

/** Neither the name of a package nor that of a backend holds one of these. */
const OWNER = '@'
const AND = ','

/** Keys of a blob that want the same lie side by side. */
export function groupName({ owner, wanted }: Pick<NewBinding, 'owner' | 'wanted'>): string {
  const shared = Object.keys(wanted).filter((backend) => wanted[backend] === 'shared')
  return `${owner === undefined ? '' : owner + OWNER}${shared.sort().join(AND)}`
}

export function groupOf(name: Buffer): KeyGroup {
  const text = name.toString()
  const end = text.indexOf(OWNER)
  const names = text.slice(end + 1)
  return { ...(end >= 0 && { owner: text.slice(0, end) }), shared: names === '' ? [] : names.split(AND) }
}

/** The key in the row that names it beside its blob: behind the name of its group, and a NUL. */
export function keyIn(suffix: Buffer): Buffer {
  return suffix.subarray(suffix.indexOf(0) + 1)
}
