import { type ErrorLocation, StorageError } from '../backend/error.ts'
import { describeType } from '../backend/options.ts'
import { is } from '../backend/rules.ts'
import type { ExtensionEvent } from '../model/event.ts'
import type { Committed, Ledger, LedgerTable, Transaction, View } from '../ports/ledger.ts'
import { within } from './also.ts'
import type { Calls } from './calls.ts'
import { jsonCopy } from './put/json-copy.ts'

const NAME = /^[a-z][a-z0-9-]{0,63}$/

/**
 * A package above the store, with tables and events of its own. They are written in the commit of a call of the store, by its option `also`,
 * or in one of their own, by `transact`.
 */
export class Extension {
  readonly name: string
  readonly #ledger: Ledger
  readonly #calls: Calls
  readonly #onCommit: (committed: Committed<unknown>) => void

  constructor(name: string, ledger: Ledger, calls: Calls, onCommit: (committed: Committed<unknown>) => void) {
    this.name = checkExtensionName('extension', name, { op: 'extension' })
    this.#ledger = ledger
    this.#calls = calls
    this.#onCommit = onCommit
    // Its rows have a place from now on: a commit that is under way cannot make one.
    ledger.table(name, '')
  }

  /**
   * Rows of one kind: JSON values, by keys of up to 1,024 bytes.
   *
   * @param name Lower-case letters, digits and `-`, at most 64.
   * @throws {StorageError} INVALID_ARGUMENT: the name · there are too many extensions.
   */
  table<Row>(name: string): LedgerTable<Row> {
    return this.#ledger.table<Row>(this.name, checkExtensionName('table', name, { op: 'extension' }))
  }

  /** Reads rows of one moment, never older than the call. `read` is pure and synchronous, and may run several times. */
  look<T>(read: (view: View) => T): Promise<T> {
    return this.#calls.run({ op: 'look' }, () => this.#ledger.look(read))
  }

  /**
   * Commits what `plan` writes into tables and records, or nothing. It is a pure and synchronous function of the rows that it reads, may run
   * several times, and only its last run counts. If it throws, the call rejects with that error, as a StorageError.
   */
  transact<T>(plan: (tx: Transaction) => T): Promise<Committed<T>> {
    return this.#calls.run({ op: 'transact' }, async () => {
      const committed = await this.#ledger.transact((tx) => within(() => plan(tx)))
      this.#onCommit(committed)
      return committed
    })
  }

  /**
   * Records an event in the log, with the commit. `events` and `on` deliver it.
   *
   * @param what Happened: lower-case letters, digits and `-`. The type of the event is the name of the extension, a full stop, and this.
   * @param data JSON values.
   * @throws {StorageError} INVALID_ARGUMENT.
   */
  record(tx: Transaction, what: string, data: Readonly<Record<string, unknown>> = {}): void {
    const at = { op: 'record' }
    const refuse = (detail: string, cause?: unknown) => new StorageError('INVALID_ARGUMENT', at, { cause, detail })
    if (!is.object.holds(data)) throw refuse(`the data of an event are an object, not ${describeType(data)}`)
    const event: ExtensionEvent = {
      type: `${this.name}.${checkExtensionName('event', what, at)}`,
      data: jsonCopy(data, refuse, 'the data of an event'),
      time: tx.now,
    }
    this.#ledger.record(tx, event)
  }
}

function checkExtensionName(kind: string, name: unknown, at: ErrorLocation): string {
  if (typeof name === 'string' && NAME.test(name)) return name
  const given = typeof name === 'string' ? JSON.stringify(name.slice(0, 100)) : describeType(name)
  const detail = `${given} is no name of ${kind === 'table' ? 'a' : 'an'} ${kind}: use lower-case letters, digits and "-", at most 64`
  throw new StorageError('INVALID_ARGUMENT', at, { detail })
}
