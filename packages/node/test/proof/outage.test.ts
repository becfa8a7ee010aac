import { FaultyBackend } from '@stored/conformance'
import { StorageError, type StorageErrorCode, type StorageErrorOptions } from '@stored/core/backend'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { blob, fromEnvironment, keyOf, SEED, seedRandom, TIMEOUT_MS, tell } from './inputs.ts'
import { openProof } from './proof-store.ts'
import { RemoteBackend } from './remote-backend.ts'

/** No fewer than take a few seconds. */
const JOBS = fromEnvironment('PROOF_OUTAGE_JOBS', 2000, 2000)
/** To see how fast it is with nothing wrong. */
const NORMAL_JOBS = 2000
const LATENCY_MS = 20
const HOUR_MS = 60 * 60 * 1000
const MOST_REQUESTS = 200
/** Of the rate before the outage, and when it must be reached. */
const SHARE = 0.9
const WITHIN_MS = 30_000
/** Over which a rate is taken. */
const WINDOW_MS = 1000
/** By then even those jobs that hung in the first minute have failed. */
const SETTLED_MS = 5 * 60 * 1000

interface Outage {
  readonly what: string
  /** It begins before the store is opened, and its backend. */
  readonly atOpen?: true
  begin(backend: FaultyBackend): void
  end(backend: FaultyBackend): void
}

function failing(what: string, code: StorageErrorCode, options?: StorageErrorOptions): Outage {
  const error = new StorageError(code, { backend: 'remote', op: 'put' }, options)
  return { what, begin: (backend) => backend.fail(error), end: (backend) => backend.fail(null) }
}

const OUTAGES: Outage[] = [
  { ...failing('cannot be opened', 'UNAVAILABLE'), atOpen: true },
  failing('answers UNAVAILABLE', 'UNAVAILABLE'),
  failing('answers RATE_LIMITED and to come back in a minute', 'RATE_LIMITED', { retryAfterMs: 60_000 }),
  failing('refuses the credentials', 'UNAUTHENTICATED'),
  {
    what: 'accepts everything and answers nothing',
    begin: (backend) => backend.set({ hang: 1 }),
    end: (backend) => backend.set({ hang: 0 }),
  },
]

afterEach(() => {
  vi.restoreAllMocks()
})

describe(`a backend that for an hour, with ${JOBS} jobs waiting (PROOF_SEED=${SEED})`, () => {
  test.each(OUTAGES)(
    '$what gets few requests, and all jobs at full rate when it is back',
    { timeout: TIMEOUT_MS },
    async (outage) => {
      seedRandom(SEED)
      const remote = new RemoteBackend(LATENCY_MS)
      const backend = new FaultyBackend(remote)
      if (outage.atOpen) outage.begin(backend)
      await using run = await startRun(backend)
      const rateBefore = outage.atOpen ? null : await run.normalRate()

      outage.begin(backend)
      const before = run.requests()
      await run.queue(JOBS)
      await run.clock.pass(SETTLED_MS)
      const spent = await run.attempts()
      await run.clock.pass(HOUR_MS - SETTLED_MS)
      const requests = run.requests() - before
      const spentLater = (await run.attempts()) - spent
      const { state } = await run.store.getBackend('remote')
      outage.end(backend)

      const back = await run.rateAfter()
      const normal = rateBefore ?? (await run.normalRate())
      const slowest = Math.min(...back.rates.slice(0, -1)) / normal
      tell(
        `${outage.what}: ${requests} requests in the hour, ${spent} attempts spent; first job after ${back.firstMs} ms, ` +
          `then ${back.rates[0]} a second of ${normal}, slowest second ${Math.round(100 * slowest)} %`,
      )
      expect(state).toBe(outage.what.includes('credentials') ? 'unusable' : 'failing')
      expect(requests).toBeLessThanOrEqual(MOST_REQUESTS)
      expect(spentLater, 'attempts that probes spent').toBe(0)
      expect(back.rates.slice(0, WITHIN_MS / WINDOW_MS).some((rate) => rate >= SHARE * normal)).toBe(true)
      expect(slowest).toBeGreaterThanOrEqual(SHARE)
      expect(remote.blobs.size).toBe(NORMAL_JOBS + JOBS)
      expect(run.parked).toEqual([])
      expect(run.troubles.seen).toEqual([])
    },
  )
})

async function startRun(backend: FaultyBackend) {
  const proof = await openProof({ remote: { backend } })
  const { store, clock } = proof
  const done: number[] = []
  const parked: string[] = []
  let queued = 0
  store.on('sync:complete', () => void done.push(clock.now))
  store.on('sync:error', ({ key }) => void parked.push(key))
  const queue = async (count: number) => {
    const numbers = Array.from({ length: count }, () => queued++)
    await clock.until(Promise.all(numbers.map((n) => store.put(blob(n), { key: keyOf(n) }))))
  }
  return {
    ...proof,
    ...{ parked, queue },
    /** All calls that reached the backend. */
    requests: () => Object.values(backend.calls).reduce((sum, calls) => sum + calls, 0),
    /** Without those of tries under way: what becomes of them is not known. */
    attempts: async () => {
      let sum = 0
      for await (const { attempts, state } of store.jobs()) sum += state === 'running' ? attempts - 1 : attempts
      return sum
    },
    /** Jobs a second, with nothing wrong. */
    normalRate: async () => {
      await store.pause('remote')
      await queue(NORMAL_JOBS)
      await store.resume('remote')
      return (await drained()).rates[0] as number
    },
    rateAfter: () => drained(),
  }

  /** Lets all that waits be synced. @returns How many were in each second from the first on; the last second is not whole. */
  async function drained() {
    const start = clock.now
    done.splice(0)
    await clock.until(store.synced())
    const first = done[0] as number
    const seconds = Map.groupBy(done, (time) => Math.floor((time - first) / WINDOW_MS))
    const rates = Array.from({ length: Math.max(...seconds.keys()) + 1 }, (_, i) => seconds.get(i)?.length ?? 0)
    return { firstMs: first - start, rates }
  }
}
