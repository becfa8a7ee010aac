export type { BackendConfig, NamedDriver, StoreConfig } from './config.ts'
export { openStore } from './open-store.ts'
