import type { BlobId, Place } from '@stored/core'

/** The 32 bytes of an id. */
export function blobPartition(id: BlobId): Buffer {
  return Buffer.from(id.slice('sha256:'.length), 'hex')
}

/** Neither a backend's name nor a key holds a NUL. */
export function placeSuffix({ backend, key }: Place): Buffer {
  return Buffer.from(`${backend}\0${key}`)
}

export function placeOf(suffix: Buffer): Place {
  const text = suffix.toString()
  const end = text.indexOf('\0')
  return { backend: text.slice(0, end), key: text.slice(end + 1) }
}

export function mediumKey(backend: string): Buffer {
  return Buffer.from(`medium\0${backend}`)
}
