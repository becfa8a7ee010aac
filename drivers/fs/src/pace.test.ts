import { tmpdir } from 'node:os'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Pace } from './pace.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }))
afterEach(() => void vi.useRealTimers())

test('of() a local directory is quick; of another file system never', async () => {
  expect((await Pace.of(tmpdir())).isQuick).toBe(process.platform === 'linux')
  expect(new Pace(false).isQuick).toBe(false)
})

test('run() of calls that used up their share of an event loop turn sends the rest of the turn to threads', async () => {
  const pace = new Pace(true)
  pace.run(() => vi.advanceTimersByTime(1))
  expect(pace.isQuick).toBe(true)
  pace.run(() => vi.advanceTimersByTime(1))
  expect(pace.isQuick).toBe(false)
  await new Promise((resolve) => setImmediate(resolve))
  expect(pace.isQuick).toBe(true)
})

test('run() of a call that waited for the disk sends calls of the next second to threads', async () => {
  const pace = new Pace(true)
  expect(() =>
    pace.run(() => {
      vi.advanceTimersByTime(6)
      throw new Error('and failed')
    }),
  ).toThrow('and failed')
  await new Promise((resolve) => setImmediate(resolve))
  expect(pace.isQuick).toBe(false)
  vi.advanceTimersByTime(1000)
  expect(pace.isQuick).toBe(true)
})
