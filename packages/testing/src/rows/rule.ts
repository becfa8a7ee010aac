import type { StoreRows } from './rows.ts'

/** What must be so of the rows of every store at every moment. */
export interface Rule {
  readonly name: string
  /** What goes wrong where it is not so. */
  readonly why: string
  /** @returns What is not so. */
  check(rows: StoreRows): Iterable<string>
}
