import { type Op, type StorageBackend, StorageError } from '@stored/core/backend'
import type { DriverMutant } from './driver-mutant.ts'

type Failures = Map<string, StorageError>
type DeleteMany = NonNullable<StorageBackend['deleteMany']>

/** For drivers that delete many keys at once: each is given a faulty `deleteMany`. */
export const deleteManyMutants: readonly DriverMutant[] = [
  deleting('forgets-failures', 'deleteMany does not say what it could not delete', ['ft.broken-many'], (driver) => {
    return async (keys, options) => {
      await deleteEach(driver, keys, options)
      return new Map()
    }
  }),
  deleting('names-the-first-failure', 'deleteMany ends at the first failure', ['ft.broken-many'], (driver) => {
    return async (keys, options) => new Map([...(await deleteEach(driver, keys, options))].slice(0, 1))
  }),
  deleting('fails-of-absence', 'deleteMany takes what is not there for a failure', ['op.delete-edge'], (driver) => {
    return async (keys, options) => {
      const failures: Failures = new Map()
      for (const key of keys)
        if ((await driver.stat(key, options)) === null)
          failures.set(key, new StorageError('NOT_FOUND', { op: 'delete', key }))
      return new Map([...failures, ...(await deleteEach(driver, keys, options))])
    }
  }),
  deleting('ends-at-absence', 'deleteMany ends at a key that is not there', ['op.delete-edge'], (driver) => {
    return async (keys, options) => {
      for (const key of keys) {
        if ((await driver.stat(key, options)) === null) break
        await driver.delete(key, options)
      }
      return new Map()
    }
  }),
  deleting('refuses-twice', 'deleteMany refuses a list that names a key twice', ['op.delete-edge'], (driver) => {
    return async (keys, options) => {
      if (new Set(keys).size < keys.length) throw new StorageError('INVALID_ARGUMENT', { op: 'deleteMany' })
      return deleteEach(driver, keys, options)
    }
  }),
  deleting('refuses-none', 'deleteMany of no key is a malformed request', ['op.delete-edge'], (driver) => {
    return async (keys, options) => {
      if (keys.length === 0) throw new StorageError('INVALID_ARGUMENT', { op: 'deleteMany' })
      return deleteEach(driver, keys, options)
    }
  }),
  {
    ...deleting('deletes-a-page', 'deleteMany ends after the first 1,000 keys', ['op.delete-pages'], (driver) => {
      return (keys, options) => deleteEach(driver, keys.slice(0, 1_000), options)
    }),
    profile: 'full',
  },
]

function deleting(
  name: string,
  fault: string,
  killedBy: readonly string[],
  deleteManyOf: (driver: StorageBackend) => DeleteMany,
): DriverMutant {
  const change = (driver: StorageBackend) => ({ deleteMany: deleteManyOf(driver) })
  return { name, fault, killedBy, declares: { deleteMany: true }, change }
}

async function deleteEach(driver: StorageBackend, keys: readonly string[], options: Op): Promise<Failures> {
  const failures: Failures = new Map()
  for (const key of keys)
    await driver.delete(key, options).catch((error) => {
      failures.set(key, StorageError.is(error) ? error : new StorageError('INTERNAL', { op: 'delete', key }))
    })
  return failures
}
