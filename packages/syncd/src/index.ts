export { JobQueue } from './queue/job-queue.ts'
export { SyncD, type SyncDOptions } from './syncd.ts'
