import type { BlobId, Place } from '@stored/core'

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
