import type { LedgerTable, RowsOptions, Transaction, View } from '@stored/core'
import { checkOptions, is, type RulesOf, StorageError } from '@stored/core/backend'
import { readerOf, type TreeLedger } from './ledger.ts'
import { after, PAGE, Table } from './table.ts'

const OPTIONS: RulesOf<RowsOptions> = { prefix: is.keyPart, after: is.keyPart, limit: is.whole(1, PAGE) }
const TAG = 'E'

/** Rows that a package above the store keeps in a tree of its own, one partition a table. */
export class ExtensionTable<T> implements LedgerTable<T> {
  readonly #table: Table<T>
  readonly #partition: Buffer

  /** @param owner A tree of its own: no name of a package can be that of a tree of the store. */
  constructor(ledger: TreeLedger, owner: string, name: string) {
    this.#table = new Table(ledger, `extension:${owner}`, TAG)
    this.#partition = Buffer.from(name)
  }

  get(view: View, key: string): T | null {
    return this.#table.get(this.#key(key), readerOf(view))?.value ?? null
  }

  rows(view: View, o: RowsOptions = {}): (readonly [key: string, row: T])[] {
    const { prefix = '', after: last, limit = PAGE } = checkOptions(o, OPTIONS, { op: 'read' })
    const first = this.#key('')
    const begin = this.#key(prefix)
    const next = last === undefined ? begin : Buffer.concat([this.#key(last), Buffer.of(0)])
    const from = Buffer.compare(begin, next) > 0 ? begin : next
    const found = readerOf(view).range(this.#table.tree, { from, to: after(begin), limit })
    return found.map(([key, row]) => [key.toString('utf8', first.length), this.#table.decode(row).value] as const)
  }

  put(tx: Transaction, key: string, row: T): void {
    this.#table.put(tx, this.#key(key), row)
  }

  remove(tx: Transaction, key: string): void {
    this.#table.remove(tx, this.#key(key))
  }

  #key(key: string): Buffer {
    if (!is.keyPart.holds(key))
      throw new StorageError('INVALID_KEY', { op: 'commit' }, { detail: `the key of a row is ${is.keyPart.expected}` })
    return this.#table.key(this.#partition, Buffer.from(key))
  }
}
