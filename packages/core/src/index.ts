export { type Addressed, checkApart, checkOutside, type OwnPlace, sameMark } from './backend/one-medium.ts'
export { type GuardOptions, guardBackend } from './guard/guard.ts'
export type {
  CallOptions,
  GuardedBackend,
  GuardedBytes,
  GuardedGetOptions,
  GuardedGetResult,
  GuardedListOptions,
  GuardedPutOptions,
  GuardedReadOptions,
} from './guard/guarded-backend.ts'
export type * from './model/blob.ts'
export { ALGORITHMS } from './model/blob.ts'
export type * from './model/copy.ts'
export { doubted, isDoubtful, isWanted, owedAgain, owes, parked, removed, standingOf, written } from './model/copy.ts'
export type * from './model/event.ts'
export type * from './model/failure.ts'
export type * from './model/job.ts'
export type * from './model/key.ts'
export type * from './model/revision.ts'
export type * from './model/tenure.ts'
export type * from './ports/checksums.ts'
export type * from './ports/index.ts'
export type * from './ports/ledger.ts'
export type * from './ports/queue.ts'
export type * from './ports/read-cache.ts'
export type * from './ports/staging.ts'
export type * from './ports/syncer.ts'
export type { BlobSource, Chunks } from './source/source.ts'
export { type Released, releaseVerified } from './stored/backends/release.ts'
export { isCurrent, isLeaving, isReliable } from './stored/backends/tenancy.ts'
export { Extension } from './stored/extension.ts'
export { placesOfEach } from './stored/lookup/copies.ts'
export { copiesUnder } from './stored/lookup/copies-under.ts'
export { checkBackendName } from './stored/lookup/names.ts'
export { StoreD } from './stored/stored.ts'
export type * from './stored/types.ts'
export { noteDamage } from './stored/verify/record-damage.ts'
export { type Trace, traced } from './trace.ts'
