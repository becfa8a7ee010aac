import type { Driver } from '@stored/core/backend'
import { parseOptions } from './options.ts'
import { S3Backend } from './s3-backend.ts'

export type { Flavor } from './flavors.ts'
export type { Identity } from './identity.ts'
export type { S3BackendOptions } from './options.ts'
export { S3Backend } from './s3-backend.ts'

/** The options that take a secret. */
export const secrets: readonly string[] = ['accessKeyId', 'secretAccessKey', 'sessionToken', 'credentials']

/** Finds this driver by its name in a configuration: `{ driver: 's3', bucket: 'photos' }`. */
export const driver: Driver = (options) => new S3Backend(parseOptions(options))
