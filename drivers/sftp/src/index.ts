import type { Driver } from '@stored/core/backend'
import { parseOptions } from './options.ts'
import { SftpBackend } from './sftp-backend.ts'

export type { SftpBackendOptions } from './options.ts'
export { SftpBackend } from './sftp-backend.ts'

/** The options that are secret: what prints or stores a configuration leaves their values out. */
export const secrets: readonly string[] = ['password', 'privateKey', 'passphrase']

/** Finds this driver by its name in a configuration: `{ driver: 'sftp', host: 'files.example.org', … }`. */
export const driver: Driver = (options) => new SftpBackend(parseOptions(options))
