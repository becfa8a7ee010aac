import { afterEach, describe, expect, test, vi } from 'vitest'
import { blob, fromEnvironment, keyOf, SEED, seedRandom, TIMEOUT_MS, tell } from './inputs.ts'
import { openProof } from './proof-store.ts'
import { HangingBackend, RemoteBackend } from './remote-backend.ts'

const BLOBS = fromEnvironment('PROOF_ISOLATION_BLOBS', 2000)
const LATENCY_MS = 20
/** Two minutes in all: calls of the backend that hangs are given up after one. */
const BURST = 50
const BURST_EVERY_MS = 1250
const MOST_MORE = 1.1

afterEach(() => {
  vi.restoreAllMocks()
})

describe(`a backend that accepts everything and answers nothing, beside a healthy one (PROOF_SEED=${SEED})`, () => {
  test(`delays the copies of ${BLOBS} blobs on the healthy one by no more than a tenth`, {
    timeout: TIMEOUT_MS,
  }, async () => {
    const alone = await lagsOf({ healthy: { backend: new RemoteBackend(LATENCY_MS) } })
    const beside = await lagsOf({
      healthy: { backend: new RemoteBackend(LATENCY_MS) },
      hanging: { backend: new HangingBackend(LATENCY_MS) },
    })
    const [before, after] = [percentile99(alone), percentile99(beside)]
    tell(`p99 from put to sync:complete: ${before} ms alone, ${after} ms beside a backend that hangs`)
    expect(alone).toHaveLength(BLOBS)
    expect(beside).toHaveLength(BLOBS)
    expect(after).toBeLessThanOrEqual(MOST_MORE * before)
  })
})

type Backends = Parameters<typeof openProof<'healthy' | 'hanging'>>[0]

/** Puts blobs, a burst at a time. @returns Milliseconds from each put to its copy on the healthy backend. */
async function lagsOf(backends: Pick<Backends, 'healthy'> & Partial<Backends>): Promise<number[]> {
  seedRandom(SEED)
  await using proof = await openProof(backends as Backends)
  const { store, clock, troubles } = proof
  const acknowledged = new Map<string, number>()
  const lags: number[] = []
  store.on('sync:complete', ({ backend, key }) => {
    if (backend === 'healthy') lags.push(clock.now - (acknowledged.get(key) as number))
  })
  for (let n = 0; n < BLOBS; n++) {
    acknowledged.set(keyOf(n), clock.now)
    await clock.until(store.put(blob(n), { key: keyOf(n) }))
    if (n % BURST === BURST - 1) await clock.pass(BURST_EVERY_MS)
  }
  await clock.until(store.synced(undefined, { backends: ['healthy'] }))
  expect(troubles.seen).toEqual([])
  return lags
}

function percentile99(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length * 0.99)] as number
}
