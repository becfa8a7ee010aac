import { type Op, type StorageBackend, StorageError } from '@stored/core/backend'
import type { DriverMutant } from './driver-mutant.ts'

type Sweep = NonNullable<StorageBackend['sweep']>

/** For drivers that sweep. */
export const sweepMutants: readonly DriverMutant[] = [
  sweeping('sweeps-nothing', 'sweep leaves all debris', ['op.sweep-young'], () => async () => 0),
  sweeping('sweeps-the-young', 'sweep takes debris of any age', ['op.sweep-young'], (sweep) => (options) => {
    return sweep({ ...options, olderThanMs: 0 })
  }),
  sweeping(
    'sweeps-an-hour',
    'sweep takes debris that is an hour old, whatever it is told',
    ['op.sweep-young'],
    (sweep) => {
      return (options) => sweep({ ...options, olderThanMs: 3_600_000 })
    },
  ),
  sweeping('sweeps-other-processes', 'sweep takes what another process is writing', ['op.sweep-other'], (sweep) => {
    return (options) => sweep({ ...options, olderThanMs: 0 })
  }),
  sweeping('sweeps-empty-blobs', 'sweep takes empty blobs for debris', ['op.sweep-blobs'], (sweep, driver) => {
    return async (options) => (await removeListed(driver, options, ({ size }) => size === 0)) + (await sweep(options))
  }),
  sweeping(
    'sweeps-by-name',
    'sweep takes blobs that are called *.tmp for debris',
    ['op.sweep-blobs'],
    (sweep, driver) => {
      return async (options) =>
        (await removeListed(driver, options, ({ key }) => key.endsWith('.tmp'))) + (await sweep(options))
    },
  ),
  {
    name: 'sweeps-the-living',
    fault: 'sweep takes what its own puts are writing',
    killedBy: ['op.sweep-running'],
    change(driver) {
      let swept = 0
      return {
        async put(key, body, options) {
          const before = swept
          const put = driver.put(
            key,
            failingWhen(body, () => swept > before),
            options,
          )
          return await put
        },
        async sweep(options) {
          swept += 1
          return (await driver.sweep?.(options)) ?? 0
        },
      }
    },
  },
]

function sweeping(
  name: string,
  fault: string,
  killedBy: readonly string[],
  sweepOf: (sweep: Sweep, driver: StorageBackend) => Sweep,
): DriverMutant {
  const change = (driver: StorageBackend) => {
    const sweep: Sweep = async (options) => (await driver.sweep?.(options)) ?? 0
    return { sweep: sweepOf(sweep, driver) }
  }
  return { name, fault, killedBy, change }
}

async function removeListed(
  driver: StorageBackend,
  { signal }: Op,
  isDebris: (stat: { readonly key: string; readonly size: number }) => boolean,
): Promise<number> {
  let removed = 0
  for await (const stat of driver.list({ prefix: '', signal }))
    if (isDebris(stat)) {
      await driver.delete(stat.key, { signal })
      removed += 1
    }
  return removed
}

async function* failingWhen(body: AsyncIterable<Uint8Array>, isGone: () => boolean) {
  for await (const chunk of body) {
    if (isGone()) throw new StorageError('UNAVAILABLE', { op: 'put' })
    yield chunk
  }
}
