import type { Stat } from '@stored/core/backend'
import type { Stats } from './connection.ts'

/** The stat of a blob from its regular file. The protocol has no fractions of a second, so the etag is weak. */
export function toStat(key: string, { size, mtime }: Stats): Stat {
  return { key, size, modified: mtime * 1000, etag: `${size}-${mtime}` }
}
