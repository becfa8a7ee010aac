import { StorageError } from '@stored/core/backend'
import type { DriverMutant } from './driver-mutant.ts'

/** For drivers that keep connections. */
export const reconnectMutants: readonly DriverMutant[] = [
  {
    name: 'reconnect-drops',
    fault: 'reconnect breaks what is under way',
    killedBy: ['op.reconnect'],
    change(driver) {
      let times = 0
      return {
        reconnect() {
          times += 1
          return driver.reconnect?.()
        },
        async get(key, options) {
          const { stat, body } = await driver.get(key, options)
          const before = times
          return { stat, body: brokenWhen(body, () => times > before) }
        },
      }
    },
  },
  {
    name: 'reconnect-keeps',
    fault: 'reconnect goes on with the connections there are',
    killedBy: ['op.reconnect-new'],
    change: () => ({ reconnect() {} }),
  },
]

async function* brokenWhen(body: AsyncIterable<Uint8Array>, isBroken: () => boolean) {
  for await (const chunk of body) {
    if (isBroken()) throw new StorageError('UNAVAILABLE', { op: 'get' })
    yield chunk
  }
}
