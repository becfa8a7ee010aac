import path from 'node:path'
import type { BlobId } from '@stored/core'

const PREFIX = 'sha256:'

/** Where cacache 21 keeps bodies, by SHA-256. A test compares it with cacache. */
export function contentRoot(location: string): string {
  return path.join(location, 'content-v2', 'sha256')
}

/** Where cacache 21 keeps its index, by the SHA-256 of keys. */
export function indexRoot(location: string): string {
  return path.join(location, 'index-v5')
}

/** Bodies being written. */
export function temporaryRoot(location: string): string {
  return path.join(location, 'tmp')
}

/** The file of a body. */
export function contentPath(root: string, id: BlobId): string {
  const start = PREFIX.length
  return `${root}/${id.slice(start, start + 2)}/${id.slice(start + 2, start + 4)}/${id.slice(start + 4)}`
}

/** The id of a body from the names of its file and the two directories above it; `null` if it is not one. */
export function idOfContent(first: string, second: string, rest: string): BlobId | null {
  const id = `${PREFIX}${first}${second}${rest}` as BlobId
  return /^sha256:[0-9a-f]{64}$/.test(id) && first.length === 2 && second.length === 2 ? id : null
}

/** cacache's name for a body: a subresource integrity. */
export function integrityOf(id: BlobId): string {
  return `sha256-${Buffer.from(id.slice(PREFIX.length), 'hex').toString('base64')}`
}
