export { type BackedUp, type BackupOptions, backupStore } from './backup-store.ts'
export { type Compacted, type CompactOptions, compactStore } from './compact-store.ts'
export type { BackendConfig, CacheConfig, NamedDriver, StagingConfig, StoreConfig } from './config.ts'
export { openStore } from './open-store.ts'
export { type Recovered, type RecoverOptions, recoverStore } from './recover-store.ts'
export { type Restored, type RestoreOptions, restoreStore } from './restore-store.ts'
export type { StoreLocation } from './store-location.ts'
export {
  pruneUpgrade,
  type Upgraded,
  type UpgradeOptions,
  type UpgradeProgress,
  upgradeStore,
} from './upgrade-store.ts'
export { type WrongMode, wrongModes } from './wrong-modes.ts'
