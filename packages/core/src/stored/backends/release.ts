import type { BlobId } from '../../model/blob.ts'
import type { Location } from '../../model/copy.ts'
import type { Index } from '../../ports/index.ts'
import type { Ledger, Transaction, View } from '../../ports/ledger.ts'
import type { Staging } from '../../ports/staging.ts'
import { areCovered } from '../delete/remaining.ts'

/** Blobs in one commit: puts wait for it. */
const BATCH = 64
/** Places that owe bytes and are looked at in one commit: it begins no other blob behind them. Of a blob with more the bytes stay. */
const MOST_OWING = 500
/** How long a copy is relied upon after it was confirmed, in milliseconds: 30 days. */
const FRESH_MS = 30 * 24 * 60 * 60 * 1000

type Services = {
  readonly ledger: Ledger
  readonly index: Index
  readonly staging: Staging
}

type IsGood = (view: View, location: Location) => boolean

/** What a release freed. */
export interface Released {
  readonly blobs: number
  readonly bytes: number
}

/**
 * Releases staged bytes of which a copy was verified within 30 days, although other places still owe them, the longest marked
 * first, until staging is below its high-water mark and has room for whoever waits. The jobs of these places read that copy.
 *
 * Never the only copy, and none that could go before the places that need it. What cannot be released loses its mark, until the next
 * copy is confirmed.
 *
 * @param isReliable A copy on a backend that is not configured, or is being removed, is none to rely on.
 * @param now In milliseconds since the epoch.
 */
export async function releaseVerified(
  services: Services,
  isReliable: (view: View, backend: string) => boolean,
  now: number,
): Promise<Released> {
  const isGood = (view: View, { state, backend, verified = 0 }: Location) =>
    state === 'synced' && verified > now - FRESH_MS && isReliable(view, backend)
  let blobs = 0
  let bytes = 0
  while (services.staging.isAboveHighWater()) {
    const ids = await services.staging.releasable({ limit: BATCH })
    if (ids.length === 0) break
    const { excess } = services.staging.usage()
    const { value } = await services.ledger.transact((tx) => planRelease(services, tx, { ids, excess, isGood }))
    blobs += value.blobs
    bytes += value.bytes
  }
  return { blobs, bytes }
}

/** @param o.ids Blobs that are marked, or were a moment ago. */
function planRelease(
  services: Services,
  tx: Transaction,
  { ids, excess, isGood }: { ids: readonly BlobId[]; excess: number; isGood: IsGood },
): Released {
  const { index, staging } = services
  let blobs = 0
  let bytes = 0
  let looked = 0
  for (const id of ids) {
    if (bytes >= excess || looked >= MOST_OWING) break
    const facts = staging.has(tx, id) ? index.facts(tx, id) : null
    const owing = index.locations(tx, id, 'owing', { limit: MOST_OWING + 1 })
    looked += owing.length
    if (!facts || !isSpared(services, tx, { id, owing }, isGood)) {
      staging.unmarkReleasable(tx, id)
      continue
    }
    staging.release(tx, id)
    blobs++
    bytes += facts.size
  }
  return { blobs, bytes }
}

/** Whether nobody needs the staged bytes: there is a copy, and one for each place that owes them. */
function isSpared(
  services: Services,
  tx: Transaction,
  { id, owing }: { id: BlobId; owing: readonly Location[] },
  isGood: IsGood,
): boolean {
  if (owing.length > MOST_OWING) return false
  const isCopy = (location: Location) => isGood(tx, location)
  const copies = services.index.locations(tx, id, 'synced').filter(isCopy)
  const shared = copies.filter((copy) => copy.shared)
  return copies.length > 0 && areCovered(services, tx, id, { owing, shared, isCopy })
}
