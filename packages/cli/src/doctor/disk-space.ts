import type { DiskUsage } from '@stored/core'
import { bytes } from '../output/format.ts'

/** Why puts are refused for lack of space; `null` if they are not, or if it is unknown. */
export function shortOfSpace(disk: DiskUsage | null): string | null {
  if (disk === null) return null
  const { free, reserve, missingBallast } = disk
  if (free > reserve + missingBallast) return null
  const lacks = `, and the ballast, which lets the store open on a full disk, lacks ${bytes(missingBallast)}`
  return `puts are refused: ${bytes(free)} free, and ${bytes(reserve)} are reserved for freeing space${missingBallast > 0 ? lacks : ''}`
}
