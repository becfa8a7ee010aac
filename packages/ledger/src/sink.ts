import type { Reader, Tree } from './ledger.ts'

/** What an implementation does with the writes of a group, in order. */
export interface Sink extends Reader {
  put(tree: Tree, key: Uint8Array, value: Uint8Array): void
  remove(tree: Tree, key: Uint8Array): void
  /**
   * Is told of the writes of a plan before the first of them. If it throws, they are not made, and their caller alone fails.
   *
   * @param bytes Of all values.
   */
  expect?(rows: number, bytes: number): void
}
