export { DiskReadCache, type DiskReadCacheOptions } from './read-cache.ts'
