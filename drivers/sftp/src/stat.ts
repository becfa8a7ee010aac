import type { Stat } from '@stored/core/backend'
import type { Stats } from './connection.ts'

/** What a regular file says of the blob it is. The protocol knows no fractions of a second, so the etag is weak. */
export function toStat(key: string, { size, mtime }: Stats): Stat {
  return { key, size, modified: mtime * 1000, etag: `${size}-${mtime}` }
}
