export { EXIT, type ExitCode } from './exit-codes.ts'
export type { OutputRecord } from './output/records.ts'
