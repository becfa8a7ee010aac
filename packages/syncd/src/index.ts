export { JobQueue } from './job-queue.ts'
export { SyncD, type SyncDOptions } from './syncd.ts'
