import type { Driver } from '@stored/core/backend'
import { AcmeBackend, parseOptions } from './acme-backend.ts'

export { AcmeBackend, type AcmeBackendOptions } from './acme-backend.ts'

/** Finds this driver by its name in a configuration: `{ driver: 'acme', bucket: 'photos' }`. */
export const driver: Driver = (options) => new AcmeBackend(parseOptions(options))
