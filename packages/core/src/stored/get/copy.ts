import type { Opened } from '../../ports/staging.ts'

/** A copy that can be opened. */
export interface Copy {
  /** For the error that names the others. */
  readonly name: string
  open(range: Range | undefined): Promise<Opened>
}

export interface Range {
  readonly offset: number
  readonly length: number
}
