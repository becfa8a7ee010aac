import { doubted, type Location } from '../../model/copy.ts'
import type { Index } from '../../ports/index.ts'
import type { Ledger } from '../../ports/ledger.ts'
import { retryOnConflict } from '../../retry-on-conflict.ts'

/** Copies in one commit: puts wait for it. */
const BATCH = 1024

type Services = { readonly ledger: Ledger; readonly index: Index }

/**
 * Counts no copy on a backend that was removed: what is added under its name may be another place. The rows stay, for `verify`.
 * What is owed stays owed.
 */
export async function doubtCopies(services: Services, backend: string, signal: AbortSignal): Promise<void> {
  let last: string | undefined
  do {
    const after = last
    last = await retryOnConflict(() => doubtBatch(services, backend, after, signal))
  } while (last !== undefined)
}

/** @returns The key to go on behind; `undefined` at the end. */
async function doubtBatch(
  { index, ledger }: Services,
  backend: string,
  after: string | undefined,
  signal: AbortSignal,
): Promise<string | undefined> {
  const batch: Location[] = []
  for await (const location of index.located({ backend, signal, ...(after !== undefined && { after }) })) {
    if (location.state === 'synced') batch.push(location)
    if (batch.length === BATCH) break
  }
  if (batch.length === 0) return undefined
  await ledger.transact((tx) => {
    for (const location of batch) {
      index.expect(tx, { place: location }, location.rev)
      index.locate(tx, doubted(location))
    }
  })
  return batch.at(-1)?.key
}
