export type { BackendConfig, CacheConfig, NamedDriver, StagingConfig, StoreConfig } from './config.ts'
export { openStore } from './open-store.ts'
