import type { Op, PutOptions, Stat, StorageBackend } from '@stored/core/backend'
import type { DriverMutant } from './driver-mutant.ts'
import { once } from './subject.ts'

type Copy = NonNullable<StorageBackend['copy']>
type Description = Pick<PutOptions, 'contentType' | 'metadata'>

/** For drivers that copy natively: each is given a faulty `copy`. */
export const copyMutants: readonly DriverMutant[] = [
  copying('copy-drops-type', 'a copy has no content type and no metadata', 'op.copy-type', (driver) => {
    return (from, to, options) => copyOver(driver, from, to, options, () => ({}))
  }),
  copying('copy-keeps-former-type', 'a copy has the content type of what it replaced', 'op.copy-type', (driver) => {
    return async (from, to, options) => {
      const former = await driver.stat(to, options)
      return copyOver(driver, from, to, options, (stat) => former ?? stat)
    }
  }),
  copying('copy-clears-target', 'copy deletes what is at its target first', 'op.copy-itself', (driver) => {
    return async (from, to, options) => {
      await driver.delete(to, options)
      return copyOver(driver, from, to, options)
    }
  }),
  copying('copy-deletes-for-nothing', 'a copy of nothing deletes its target', 'op.copy-missing', (driver) => {
    return async (from, to, options) => {
      if ((await driver.stat(from, options)) === null) await driver.delete(to, options)
      return copyOver(driver, from, to, options)
    }
  }),
  copying('copy-makes-nothing', 'a copy of nothing is an empty blob', 'op.copy-missing', (driver) => {
    return async (from, to, options) => {
      if ((await driver.stat(from, options)) !== null) return copyOver(driver, from, to, options)
      return driver.put(to, once(new Uint8Array()), { ...options, size: 0 })
    }
  }),
  copying('copy-skips-empty', 'an empty blob is not copied', 'op.copy-empty', (driver) => {
    return async (from, to, options) => {
      const stat = await driver.stat(from, options)
      return stat?.size === 0 ? { ...stat, key: to } : copyOver(driver, from, to, options)
    }
  }),
  {
    name: 'copy-is-link',
    fault: 'a copy is another name of its original',
    killedBy: ['op.copy-apart'],
    declares: { copy: true },
    change: (driver) => {
      const follow = (key: string) => links.get(key) ?? key
      return {
        get: (key, options) => driver.get(follow(key), options),
        async copy(from, to, options) {
          const stat = await copyOver(driver, from, to, options)
          links.set(to, from)
          return stat
        },
        put(key, ...rest) {
          links.delete(key)
          return driver.put(key, ...rest)
        },
      }
    },
  },
]

/** For `copy-is-link`: shared by the instances of one storage. Cases do not share keys. */
const links = new Map<string, string>()

function copying(
  name: string,
  fault: string,
  killedBy: string,
  copyOf: (driver: StorageBackend) => Copy,
): DriverMutant {
  return {
    name,
    fault,
    killedBy: [killedBy],
    declares: { copy: true },
    change: (driver) => ({ copy: copyOf(driver) }),
  }
}

/** A correct copy on any driver. @param describe Which content type and metadata it gets. */
async function copyOver(
  driver: StorageBackend,
  from: string,
  to: string,
  { signal }: Op,
  describe: (stat: Stat) => Description = (stat) => stat,
): Promise<Stat> {
  const { stat, body } = await driver.get(from, { signal })
  const { contentType, metadata } = describe(stat)
  const can = driver.capabilities
  return driver.put(to, body, {
    signal,
    size: stat.size,
    ...(can.contentType && contentType !== undefined && { contentType }),
    ...(can.metadata && metadata !== undefined && { metadata }),
  })
}
