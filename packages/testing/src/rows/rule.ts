import type { StoreRows } from './rows.ts'

/** An invariant of the rows of every store at every moment. */
export interface Rule {
  readonly name: string
  /** What goes wrong if it does not hold. */
  readonly why: string
  /** @returns The violations. */
  check(rows: StoreRows): Iterable<string>
}
