import type { Location } from '../../model/copy.ts'
import type { Index, Known } from '../../ports/index.ts'
import type { Transaction } from '../../ports/ledger.ts'

/**
 * Guards what is decided about the share that one of several keys has in a blob: the facts, which whoever binds or unbinds a key
 * writes again, the objects of the key, and whether other places owe the bytes. These may settle meanwhile: of a blob under
 * thousands of keys some always do.
 *
 * @param own Of the places of the blob those that go with the key.
 * @param isOwed Whether another place owes the bytes.
 */
export function expectShare(
  tx: Transaction,
  index: Index,
  { facts: { id }, factsRev }: Known,
  own: readonly Location[],
  isOwed: boolean,
): void {
  index.expect(tx, { facts: id }, factsRev)
  for (const { backend, key, rev } of own) index.expect(tx, { place: { backend, key } }, rev)
  index.expectPlace(tx, { id, standing: 'owing', except: own }, isOwed)
}
