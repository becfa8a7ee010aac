export type * from './ports.ts'
export { retryOnConflict } from './retry-on-conflict.ts'
