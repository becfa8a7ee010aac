import type { Driver } from '@stored/core/backend'
import { FsBackend } from './fs-backend.ts'
import { parseOptions } from './options.ts'

export { FsBackend } from './fs-backend.ts'
export type { FsBackendOptions } from './options.ts'

/** The options that are paths on this machine. */
export const paths: readonly string[] = ['root']

/** Finds this driver by its name in a configuration: `{ driver: 'fs', root: './data' }`. */
export const driver: Driver = (options) => new FsBackend(parseOptions(options))
