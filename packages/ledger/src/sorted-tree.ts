import { positionOf } from './key-name.ts'

/** Rows in memory, in the order of their names. */
export class SortedTree {
  readonly #names: string[] = []
  readonly #values = new Map<string, Buffer>()

  get(key: string): Buffer | undefined {
    return this.#values.get(key)
  }

  set(key: string, value: Buffer): void {
    if (!this.#values.has(key)) this.#names.splice(positionOf(this.#names, key), 0, key)
    this.#values.set(key, value)
  }

  delete(key: string): void {
    if (this.#values.delete(key)) this.#names.splice(positionOf(this.#names, key), 1)
  }

  /** Copies. */
  range(from: string, to: string, limit: number): [Buffer, Buffer][] {
    const start = positionOf(this.#names, from)
    const end = Math.min(positionOf(this.#names, to), start + limit)
    return this.#names
      .slice(start, end)
      .map((key) => [Buffer.from(key, 'latin1'), Buffer.from(this.#values.get(key) as Buffer)])
  }
}
