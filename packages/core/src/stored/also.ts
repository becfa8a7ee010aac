import { type ErrorLocation, StorageError } from '../backend/error.ts'
import type { DurableEvent, Logged } from '../model/event.ts'
import type { Committed, Transaction } from '../ports/ledger.ts'
import type { Services } from './services.ts'

/** What a caller adds to the commit of a call. */
export type Also = (tx: Transaction) => void

/** Called after each commit of a call with the events that it recorded. The deletion of a blob with many keys makes many commits. */
export type OnCommit = (...events: readonly Logged<DurableEvent>[]) => void

/** The `also` that is running, and the call that it made. */
let running: { called?: string } | undefined

/** What an `also` threw: its caller gets exactly that. */
export class Thrown {
  readonly error: unknown

  constructor(error: unknown) {
    this.error = error
  }
}

/** @throws {StorageError} INVALID_ARGUMENT, at once: an `also` may run many times, and is no place for a call. */
export function refuseWithin(op: string): void {
  if (running === undefined) return
  running.called = op
  throw callWithin({ op })
}

function callWithin({ op }: ErrorLocation): StorageError {
  const detail = 'a store cannot be called from within a commit: read and write tables of an extension there'
  return new StorageError('INVALID_ARGUMENT', { op }, { detail })
}

/**
 * Runs a plan, and in the same commit what the caller adds to it.
 *
 * @param plan Calls `add` once it has done what it does.
 * @throws {Thrown} What `also` threw, once it is certain that it stands. @throws What the plan, or the ledger, throws.
 */
export async function transactWith<T>(
  { ledger }: Pick<Services, 'ledger'>,
  also: Also | undefined,
  at: ErrorLocation,
  plan: (tx: Transaction, add: () => void) => T,
): Promise<Committed<T>> {
  if (!also) return ledger.transact((tx) => plan(tx, () => {}))
  // Of the last run, which is the one that counts. No run reads it.
  let thrown: Thrown | undefined
  try {
    return await ledger.transact((tx) => {
      thrown = undefined
      return plan(tx, () => {
        try {
          add(also, tx, at)
        } catch (error) {
          thrown = new Thrown(error)
          throw error
        }
      })
    })
  } catch (error) {
    if (thrown && thrown.error === error) throw thrown
    throw error
  }
}

function add(also: Also, tx: Transaction, at: ErrorLocation): void {
  const result: unknown = within(() => also(tx))
  if (isThenable(result))
    throw new StorageError('INVALID_ARGUMENT', at, { detail: 'also returned a promise: it is synchronous' })
}

/** Runs what a caller adds to a commit. @throws {StorageError} INVALID_ARGUMENT: it called a store. */
export function within<T>(run: () => T): T {
  const here: { called?: string } = {}
  const outer = running
  running = here
  let result: T
  try {
    result = run()
  } finally {
    running = outer
  }
  if (here.called === undefined) return result
  isThenable(result)
  throw callWithin({ op: here.called })
}

/** If it is one, nobody else hears of its rejection. */
function isThenable(result: unknown): boolean {
  if (typeof (result as { then?: unknown } | null | undefined)?.then !== 'function') return false
  Promise.resolve(result).catch(() => {})
  return true
}
