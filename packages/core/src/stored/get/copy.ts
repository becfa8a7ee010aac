import type { Opened } from '../../ports/staging.ts'

/** A copy that can be opened. */
export interface Copy {
  /** For the error that names the others. */
  readonly name: string
  open(range: Range | undefined): Promise<Opened>
  /** Reads and verifies all of a small blob in less time. @returns `null` if it cannot, and `open` tells why. */
  whole?(): Promise<Buffer | null>
}

export interface Range {
  readonly offset: number
  readonly length: number
}
