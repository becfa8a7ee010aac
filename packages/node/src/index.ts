export type { BackendConfig, CacheConfig, NamedDriver, StagingConfig, StoreConfig } from './config.ts'
export { openStore } from './open-store.ts'
export { type Recovered, type RecoverOptions, recoverStore } from './recover-store.ts'
export {
  pruneUpgrade,
  type Upgraded,
  type UpgradeOptions,
  type UpgradeProgress,
  upgradeStore,
} from './upgrade-store.ts'
export { type WrongMode, wrongModes } from './wrong-modes.ts'
