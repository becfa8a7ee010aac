export { stagedFiles } from './owner.ts'
export { RecoveredStaging } from './recovered-staging.ts'
export { DurableStaging, type DurableStagingOptions } from './staging.ts'
export { beginRecovery, type Claimed, claimStaging, endRecovery, type Standing, standingOf } from './store-identity.ts'
