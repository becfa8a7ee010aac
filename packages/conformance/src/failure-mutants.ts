import { StorageError } from '@stored/core/backend'
import type { DriverMutant } from './driver-mutant.ts'

/** What a failure of the medium is mistaken for. */
export const failureMutants: readonly DriverMutant[] = [
  {
    name: 'failure-as-null',
    fault: 'stat that fails says that nothing is there',
    killedBy: ['ft.broken'],
    change: (driver) => ({ stat: (...args) => driver.stat(...args).catch(() => null) }),
  },
  {
    name: 'failure-as-not-found',
    fault: 'get that fails says that nothing is there',
    killedBy: ['ft.broken'],
    change: (driver) => ({
      get: (key, options) =>
        driver.get(key, options).catch((cause) => {
          throw new StorageError('NOT_FOUND', { op: 'get', key }, { cause })
        }),
    }),
  },
  {
    name: 'failure-as-end',
    fault: 'list that fails just ends',
    killedBy: ['ft.broken'],
    change: (driver) => ({
      async *list(options) {
        try {
          yield* driver.list(options)
        } catch {
          // The fault: what is not listed looks deleted.
        }
      },
    }),
  },
  {
    name: 'failure-as-deleted',
    fault: 'delete that fails resolves',
    killedBy: ['ft.broken'],
    change: (driver) => ({ delete: (...args) => driver.delete(...args).catch(() => {}) }),
  },
]
