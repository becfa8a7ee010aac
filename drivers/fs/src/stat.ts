import type { BigIntStats } from 'node:fs'
import type { Stat } from '@stored/core/backend'

/**
 * The stat of a blob from its regular file. The device number is left out: it may change with each restart, and the
 * root identifies the disk.
 */
export function toStat(key: string, { ino, size, mtimeMs, mtimeNs, ctimeNs }: BigIntStats): Stat {
  const etag = `${ino}-${size}-${mtimeNs}`
  return { key, size: Number(size), modified: Number(mtimeMs), etag, fingerprint: `${etag}-${ctimeNs}` }
}
