import { StorageError } from '@stored/core/backend'
import type { DriverMutant } from './driver-mutant.ts'

/** How often each key was written, by any instance. Cases do not share keys. */
const writes = new Map<string, number>()

/** Readers whose blob is overwritten before they reach its end. */
export const overtakenMutants: readonly DriverMutant[] = [
  {
    name: 'overtaken-as-condition',
    fault: 'a reader that was overtaken is told of a condition that it never made',
    killedBy: ['at.pinned-reader'],
    change: (driver) => ({
      async put(key, ...rest) {
        const stat = await driver.put(key, ...rest)
        writes.set(key, (writes.get(key) ?? 0) + 1)
        return stat
      },
      async get(key, options) {
        const before = writes.get(key)
        const { stat, body } = await driver.get(key, options)
        return { stat, body: unlessWritten(body, key, before) }
      },
    }),
  },
]

async function* unlessWritten(body: AsyncIterable<Uint8Array>, key: string, before: number | undefined) {
  for await (const chunk of body) {
    if (writes.get(key) !== before) throw new StorageError('PRECONDITION_FAILED', { op: 'get', key })
    yield chunk
  }
}
