export { JobQueue } from './job-queue.ts'
export { backoff, MAX_ATTEMPTS } from './policy.ts'
export { SyncD, type SyncDOptions } from './syncd.ts'
