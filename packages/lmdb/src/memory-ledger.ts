import type { DurableEvent, Logged, Transaction } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import { applyGroup, type Sink } from './commit.ts'
import { EventLog, type EventLogOptions } from './event-log.ts'
import { newTransaction, type Range, TREES, type Tree, type TreeLedger } from './ledger.ts'

/** A ledger that lives and dies with the process: for tests, and for stores that need not last. */
export class MemoryLedger implements TreeLedger, Sink {
  readonly #trees = new Map<Tree, SortedTree>(TREES.map((tree) => [tree, new SortedTree()]))
  readonly #log: EventLog
  #seq = 0
  #closed = false

  constructor(options: EventLogOptions = {}) {
    this.#log = new EventLog(this, () => this.#seq, options)
  }

  async transact(write: (tx: Transaction) => void): Promise<{ seq: number }> {
    if (this.#closed) throw new StorageError('CLOSED', { op: 'commit' })
    const steps = newTransaction()
    write(steps)
    return new Promise((resolve, reject) => {
      const { tell, seq } = applyGroup([{ steps, resolve, reject }], this, this.#seq)
      this.#seq = seq
      for (const one of tell) one()
    })
  }

  record(tx: Transaction, event: DurableEvent): void {
    this.#log.record(tx, event)
  }

  events(o: { since: number; signal: AbortSignal }): AsyncIterable<Logged<DurableEvent>> {
    return this.#log.events(o)
  }

  /** There is no other process. */
  refresh(): void {}

  get seq(): number {
    return this.#seq
  }

  get<T>(tree: Tree, key: Uint8Array, decode: (value: Buffer) => T): T | undefined {
    const value = this.#tree(tree).get(name(key))
    return value === undefined ? undefined : decode(value)
  }

  range(tree: Tree, { from, to, limit = 500 }: Range): [Buffer, Buffer][] {
    return this.#tree(tree).range(name(from), name(to), limit)
  }

  put(tree: Tree, key: Uint8Array, value: Uint8Array): void {
    this.#tree(tree).set(name(key), Buffer.from(value))
  }

  remove(tree: Tree, key: Uint8Array): void {
    this.#tree(tree).delete(name(key))
  }

  /** Nothing here can fail half-way. */
  readonly degraded = null

  onDegraded(): () => void {
    return () => {}
  }

  disk(): null {
    return null
  }

  /** Memory has no reserve. */
  requireSpace(): void {}

  async close(): Promise<void> {
    this.#closed = true
  }

  #tree(tree: Tree): SortedTree {
    return this.#trees.get(tree) as SortedTree
  }
}

/** Strings of one byte a character compare as their bytes do. */
function name(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('latin1')
}

class SortedTree {
  readonly #names: string[] = []
  readonly #values = new Map<string, Buffer>()

  get(key: string): Buffer | undefined {
    return this.#values.get(key)
  }

  set(key: string, value: Buffer): void {
    if (!this.#values.has(key)) this.#names.splice(this.#position(key), 0, key)
    this.#values.set(key, value)
  }

  delete(key: string): void {
    if (this.#values.delete(key)) this.#names.splice(this.#position(key), 1)
  }

  range(from: string, to: string, limit: number): [Buffer, Buffer][] {
    const start = this.#position(from)
    const end = Math.min(this.#position(to), start + limit)
    return this.#names
      .slice(start, end)
      .map((key) => [Buffer.from(key, 'latin1'), Buffer.from(this.#values.get(key) as Buffer)])
  }

  /** Of the first name that is not less than `key`. */
  #position(key: string): number {
    let low = 0
    let high = this.#names.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#names[middle] as string) < key) low = middle + 1
      else high = middle
    }
    return low
  }
}
