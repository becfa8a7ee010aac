import type { BlobId } from '../../model/blob.ts'
import type { Location, Place } from '../../model/copy.ts'
import type { Rev } from '../../model/revision.ts'
import type { Index } from '../../ports/index.ts'
import type { Ledger, Transaction, View } from '../../ports/ledger.ts'
import type { Staging } from '../../ports/staging.ts'
import { isServed, objectsOf, sharedFor } from '../lookup/copies.ts'

/** Blobs in one commit: puts wait for it. */
const BATCH = 64
/** Places that owe bytes and are looked at in one commit: it begins no other blob behind them. */
const MOST_OWING = 500
/** Places that are looked at in one go: each among them costs some reads. */
const PAGE = 100
/** How long a copy is relied upon after it was confirmed, in milliseconds: 30 days. */
const FRESH_MS = 30 * 24 * 60 * 60 * 1000

type Test = (view: View, location: Location) => boolean

type Services = {
  readonly ledger: Ledger
  readonly index: Index
  readonly staging: Staging
}

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
  const isGood: Test = (view, { state, backend, verified = 0 }) =>
    state === 'synced' && verified > now - FRESH_MS && isReliable(view, backend)
  const looked: Looked = new Map()
  let blobs = 0
  let bytes = 0
  while (services.staging.isAboveHighWater()) {
    const ids = await services.staging.releasable({ limit: BATCH })
    if (ids.length === 0) break
    const { excess } = services.staging.usage()
    const plan = { ids, excess, isGood, looked }
    const { value } = await services.ledger.transact((tx) => planRelease(services, tx, plan))
    blobs += value.blobs
    bytes += value.bytes
    if (value.next) looked.set(value.next, await lookAtOwing(services, value.next, isGood))
  }
  return { blobs, bytes }
}

/** Of blobs with many places that owe them: what stood for these when all of them had a copy; `null`: one had none. */
type Looked = Map<BlobId, Rev | null>

/** @param o.ids Blobs that are marked, or were a moment ago. */
function planRelease(
  services: Services,
  tx: Transaction,
  { ids, excess, isGood, looked }: { ids: readonly BlobId[]; excess: number; isGood: Test; looked: Looked },
): Released & { readonly next?: BlobId } {
  const { index, staging } = services
  let blobs = 0
  let bytes = 0
  let seen = 0
  for (const id of ids) {
    if (bytes >= excess || seen >= MOST_OWING) break
    const facts = staging.has(tx, id) ? index.facts(tx, id) : null
    const owing = index.locations(tx, id, 'owing', { limit: MOST_OWING + 1 })
    seen += owing.length
    const isSpared = facts !== null && isCovered(services, tx, { id, owing, isGood, version: looked.get(id) })
    if (isSpared === undefined) return { blobs, bytes, next: id }
    if (!isSpared) {
      staging.unmarkReleasable(tx, id)
      continue
    }
    staging.release(tx, id)
    blobs++
    bytes += facts.size
  }
  return { blobs, bytes }
}

/**
 * Whether nobody needs the staged bytes: whichever key is deleted or bound once more, each place that owes them is outlived by a copy. A
 * shared one goes with the last key that wants it, that of one key with it.
 *
 * @param o.version What stood for the blob when all of many places were looked at.
 * @returns `undefined`: there are many, and they have to be.
 */
function isCovered(
  { index }: Services,
  tx: Transaction,
  o: { id: BlobId; owing: readonly Location[]; isGood: Test; version: Rev | null | undefined },
): boolean | undefined {
  const { id, owing, isGood, version } = o
  const isOutlived = outlivedBy(index, tx, id, isGood)
  if (isOutlived.all) return true
  if (owing.length <= MOST_OWING) return owing.length > 0 && owing.every(isOutlived.place)
  // Whoever changed it since confirms a copy, or another one will be confirmed: then it is marked again.
  return version === undefined ? undefined : version === index.version(tx, id)
}

/** What places of a blob are outlived by: `all`, whatever they are, or a `place` by itself. */
function outlivedBy(index: Index, view: View, id: BlobId, isGood: Test) {
  const good = index.shared(view, id).filter((one) => isGood(view, one))
  const groups = index.keyGroups(view, id)
  const hasGood = ({ key, backend, shared }: Location) => {
    if (shared) return groups.every((group) => !group.shared.includes(backend) || isServed(group, good))
    const bound = index.binding(view, key)
    const isWanted = bound?.facts?.id === id && sharedFor(bound, good).length > 0
    return isWanted || objectsOf({ index }, view, id, key).some((one) => isGood(view, one))
  }
  return { all: good.length > 0 && groups.every((group) => isServed(group, good)), place: hasGood }
}

/** Looks at all places that owe a blob, a page at a time. @returns What stood for it all the while; `null`: one has no copy. */
async function lookAtOwing({ index, ledger }: Services, id: BlobId, isGood: Test): Promise<Rev | null> {
  for (let after: Place | undefined, version: Rev | null | undefined; ; ) {
    const page = await ledger.look((view) => {
      const owing = index.locations(view, id, 'owing', { limit: PAGE, ...(after && { after }) })
      const isEach = owing.every(outlivedBy(index, view, id, isGood).place)
      return { last: owing.at(-1), isEach, version: index.version(view, id) }
    })
    version ??= page.version
    if (!page.isEach || version !== page.version) return null
    if (!page.last) return version
    after = page.last
  }
}
