export { DiskReadCache, type DiskReadCacheOptions } from './read-cache.ts'
export { DurableStaging, type DurableStagingOptions } from './staging.ts'
