import type { Place, Transaction } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import { decodeRow, END, encodeRow, pages, type TreeLedger, writerOf } from '@stored/ledger'
import { placeOf } from './keys.ts'

/** Says that each place has all rows that it has beside its own. */
const COMPLETE = Buffer.from('place-rows')
const NOTHING = Buffer.alloc(0)
/** Of the rows of a blob: an id, a NUL and a tag. */
const TAG = 33
/** Of the places of former versions. One under `M` neither owed nor held its blob: it has another tag by now. */
const TAGS = 'LMN'
const FORMER = 'M'.charCodeAt(0)

/**
 * Writes the rows of each place that may lack some, unless that was done, a page a commit, and removes those under a tag that is no more. Other processes of
 * this version may work on the store in the meantime. Where there is no room for it, it is left to the next call.
 *
 * @param write Writes what a place has beside its own row.
 */
export async function completeRows(
  ledger: TreeLedger,
  write: (tx: Transaction, place: Place) => void,
  signal?: AbortSignal,
): Promise<void> {
  if (ledger.get('meta', COMPLETE, decodeRow)) return
  try {
    await writeAll(ledger, write, signal)
  } catch (error) {
    if (!StorageError.is(error) || error.code !== 'NO_SPACE') throw error
  }
}

async function writeAll(
  ledger: TreeLedger,
  write: (tx: Transaction, place: Place) => void,
  signal?: AbortSignal,
): Promise<void> {
  for await (const page of pages(ledger, 'blobs', { from: NOTHING, to: END, signal })) {
    const names = page.map(([key]) => key).filter(mayLack)
    if (names.length === 0) continue
    await ledger.transact((tx) => {
      for (const name of names) complete(tx, name, write)
    })
  }
  await ledger.transact((tx) => writerOf(tx).put('meta', COMPLETE, encodeRow(null, tx.ticket)))
}

/** Whether the row of a place beside its blob is one of a copy that is not synced, or that all keys may share. */
function mayLack(name: Buffer): boolean {
  const tag = String.fromCharCode(name[TAG] as number)
  return TAGS.includes(tag) && (tag !== 'N' || name.toString().endsWith(name.toString('hex', 0, 32)))
}

function complete(tx: Transaction, name: Buffer, write: (tx: Transaction, place: Place) => void): void {
  try {
    write(tx, placeOf(name.subarray(TAG + 1)))
  } catch (error) {
    // A row that cannot be read fails whoever asks for that place, not the opening of the store.
    if (StorageError.is(error) && (error.code === 'CORRUPT' || error.code === 'INCOMPATIBLE')) return
    throw error
  }
  if (name[TAG] === FORMER) writerOf(tx).remove('blobs', name)
}
