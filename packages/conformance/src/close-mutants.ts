import type { DriverMutant } from './driver-mutant.ts'

/** Longer than any case waits for it, and ends by itself. */
const LEFT_MS = 20_000

/** What a driver leaves when it is closed. */
export const closeMutants: readonly DriverMutant[] = [
  {
    name: 'close-leaves-timer',
    fault: 'a timer goes on after close',
    killedBy: ['lc.handles'],
    change: (driver) => ({
      put(...args) {
        setTimeout(() => {}, LEFT_MS)
        return driver.put(...args)
      },
    }),
  },
]
