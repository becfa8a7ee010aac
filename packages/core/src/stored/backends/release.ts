import type { BlobId } from '../../model/blob.ts'
import { owes } from '../../model/copy.ts'
import type { Index, Known } from '../../ports/index.ts'
import type { Ledger } from '../../ports/ledger.ts'
import type { Staging } from '../../ports/staging.ts'
import { retryOnConflict } from '../../retry-on-conflict.ts'
import { areCovered } from '../delete/coverage.ts'

/** Blobs in one commit: puts wait for it. */
const BATCH = 64
/** How long a copy is relied upon after it was confirmed, in milliseconds: 30 days. */
const FRESH_MS = 30 * 24 * 60 * 60 * 1000

type Services = { readonly ledger: Ledger; readonly index: Index; readonly staging: Staging }

/** What a release freed. */
export interface Released {
  readonly blobs: number
  readonly bytes: number
}

/**
 * Releases staged bytes of which a copy was verified within 30 days, although other places still owe them, the longest marked
 * first, until staging is below its high-water mark and has room for whoever waits. The jobs of these places read that copy.
 *
 * Never the only copy, and none that could go before the places that need it: each blob is guarded by all that is known of it.
 * What cannot be released loses its mark, until the next copy is confirmed.
 *
 * @param isConfigured A copy on a backend that is not configured is none to rely on.
 * @param now In milliseconds since the epoch.
 */
export async function releaseVerified(
  services: Services,
  isConfigured: (backend: string) => boolean,
  now: number,
): Promise<Released> {
  let blobs = 0
  let bytes = 0
  while (services.staging.isAboveHighWater()) {
    const released = await retryOnConflict(() => releaseBatch(services, isConfigured, now))
    if (!released) break
    blobs += released.blobs
    bytes += released.bytes
  }
  return { blobs, bytes }
}

/** @returns `null` when nothing is marked. */
async function releaseBatch(
  services: Services,
  isConfigured: (backend: string) => boolean,
  now: number,
): Promise<Released | null> {
  const { ledger, index, staging } = services
  const ids = await staging.releasable({ limit: BATCH })
  if (ids.length === 0) return null
  const isGood = ({ state, backend, verified = 0 }: Known['locations'][number]) =>
    state === 'synced' && isConfigured(backend) && verified > now - FRESH_MS
  const looked: { id: BlobId; known: Known | null; leaves: boolean }[] = []
  let left = staging.usage().excess
  for (const id of ids) {
    if (left <= 0) break
    const known = await index.known(id)
    const leaves =
      known !== null &&
      (await staging.ledger.look((view) => staging.has(view, id))) &&
      isSpared(known, known.locations.filter(isGood))
    if (leaves) left -= known.facts.size
    looked.push({ id, known, leaves })
  }
  await ledger.transact((tx) => {
    for (const { id, known, leaves } of looked) {
      index.expect(tx, { id }, known?.rev ?? null)
      if (!leaves || !known) staging.unmarkReleasable(tx, id)
      else {
        staging.release(tx, id)
        // Written again, so that whoever counts on the staged bytes at the same moment decides anew.
        index.keep(tx, known.facts)
      }
    }
  })
  const released = looked.filter(({ leaves }) => leaves)
  return { blobs: released.length, bytes: released.reduce((sum, { known }) => sum + (known?.facts.size ?? 0), 0) }
}

/** Whether nobody needs the staged bytes. */
function isSpared({ locations }: Known, copies: Known['locations']): boolean {
  return copies.length > 0 && areCovered(locations.filter(owes), copies)
}
