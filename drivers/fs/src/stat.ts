import type { BigIntStats } from 'node:fs'
import type { Stat } from '@stored/core/backend'

/**
 * What a regular file says of the blob it is. Its device is left out: the disk may be another one after each restart, and whether
 * it is the right disk, the root tells.
 */
export function toStat(key: string, { ino, size, mtimeMs, mtimeNs, ctimeNs }: BigIntStats): Stat {
  const etag = `${ino}-${size}-${mtimeNs}`
  return { key, size: Number(size), modified: Number(mtimeMs), etag, fingerprint: `${etag}-${ctimeNs}` }
}
