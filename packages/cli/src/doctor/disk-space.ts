import type { DiskUsage } from '@stored/core'
import { bytes } from '../output/format.ts'

/** Why puts are refused for want of space; `null`: they are not, or nobody knows. */
export function shortOfSpace(disk: DiskUsage | null): string | null {
  if (disk === null) return null
  const { free, reserve, missingBallast } = disk
  if (free > reserve + missingBallast) return null
  const lacks = `, and the ballast, without which a full disk keeps the store from being opened, lacks ${bytes(missingBallast)}`
  return `puts are refused: ${bytes(free)} free, and ${bytes(reserve)} are kept for what frees space${missingBallast > 0 ? lacks : ''}`
}
