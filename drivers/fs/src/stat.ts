import type { BigIntStats } from 'node:fs'
import type { Stat } from '@stored/core/backend'

/** What a regular file says of the blob it is. */
export function toStat(key: string, { dev, ino, size, mtimeMs, mtimeNs, ctimeNs }: BigIntStats): Stat {
  const etag = `${dev}-${ino}-${size}-${mtimeNs}`
  return { key, size: Number(size), modified: Number(mtimeMs), etag, fingerprint: `${etag}-${ctimeNs}` }
}
