import type { Driver } from '@stored/core/backend'
import { parseOptions } from './options.ts'
import { SftpBackend } from './sftp-backend.ts'

export type { SftpBackendOptions } from './options.ts'
export { SftpBackend } from './sftp-backend.ts'

/** The secret options: anything that prints or stores a configuration omits their values. */
export const secrets: readonly string[] = ['password', 'privateKey', 'passphrase']

/** Finds this driver by its name in a configuration: `{ driver: 'sftp', host: 'files.example.org', … }`. */
export const driver: Driver = (options) => new SftpBackend(parseOptions(options))
