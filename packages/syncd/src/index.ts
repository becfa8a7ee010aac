export { bootId } from './coordination/boot.ts'
export { rewriterOf } from './queue/format-2.ts'
export { JobQueue } from './queue/job-queue.ts'
export { SyncD, type SyncDOptions } from './syncd.ts'
