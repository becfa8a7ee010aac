export { EXIT, type ExitCode } from './errors/exit-codes.ts'
export type { OutputRecord } from './output/records.ts'
