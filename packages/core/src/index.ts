export { type Addressed, checkApart, checkOutside, type OwnPlace, sameMark } from './backend/one-medium.ts'
export { type GuardOptions, guardBackend } from './guard/guard.ts'
export type {
  CallOptions,
  GuardedBackend,
  GuardedGetOptions,
  GuardedGetResult,
  GuardedListOptions,
  GuardedPutOptions,
} from './guard/guarded-backend.ts'
export type * from './ports.ts'
export { retryOnConflict } from './retry-on-conflict.ts'
export type { BlobSource } from './source.ts'
export { copiesUnder } from './stored/copies-under.ts'
export { isMarked, noteDamage } from './stored/damage.ts'
export { checkBackendName } from './stored/names.ts'
export { owes } from './stored/plan-put.ts'
export { type Released, releaseVerified } from './stored/release.ts'
export { StoreD } from './stored/stored.ts'
export type * from './stored/types.ts'
