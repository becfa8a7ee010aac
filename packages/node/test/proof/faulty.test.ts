import { FaultyBackend } from '@stored/conformance'
import { StorageError } from '@stored/core/backend'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { blob, fromEnvironment, keyOf, SEED, seedRandom, TIMEOUT_MS, tell } from './inputs.ts'
import { openProof, type Proof } from './proof-store.ts'
import { RemoteBackend } from './remote-backend.ts'

const JOBS = fromEnvironment('PROOF_JOBS', 4000)
/** Waiting at a time. */
const WAVE = 2000
const AT_ONCE = 500
const PUTS_PER_JOB = 1.8
/** What a read may fail with while reads fail on purpose. */
const READ_FAILURES = ['CHECKSUM_MISMATCH', 'RATE_LIMITED', 'TIMEOUT', 'UNAVAILABLE']

const FAULTS = {
  ...{ error: 0.25, applied: 0.05, wrongBytes: 0.01, cut: 0.01 },
  ...{ staleList: 0.1, rateLimited: 0.005, hang: 0.0005, duplicate: 0.01 },
}

const CASES = [
  { what: 'of which a write may land although it fails', faults: FAULTS, overwrite: false },
  // What lies there is then no blob that StoreD ever wrote: without this option it is a stranger's.
  {
    what: 'which also leaves parts of objects (overwrite: true)',
    faults: { ...FAULTS, partial: 0.02 },
    overwrite: true,
  },
]

afterEach(() => {
  vi.restoreAllMocks()
})

describe(`${JOBS} jobs for a backend that fails in three of ten calls (PROOF_SEED=${SEED})`, () => {
  test.each(CASES)(
    '$what: every blob arrives, whole, in few puts',
    { timeout: TIMEOUT_MS },
    async ({ what, ...faulty }) => {
      seedRandom(SEED)
      const remote = new RemoteBackend(5)
      const backend = new FaultyBackend(remote, { ...faulty.faults, seed: SEED })
      const { overwrite } = faulty
      await using proof = await openProof({ remote: { backend, overwrite } })
      const { store, clock, troubles } = proof
      for (let first = 0; first < JOBS; first += WAVE) {
        const numbers = Array.from({ length: Math.min(WAVE, JOBS - first) }, (_, i) => first + i)
        await inTurns(proof, numbers, (n) => store.put(blob(n), { key: keyOf(n) }))
        await clock.until(store.synced())
      }
      const puts = backend.calls.put / JOBS
      const failed = (backend.calls.put - JOBS) / backend.calls.put
      tell(`${what}: ${puts.toFixed(3)} puts a job, ${(100 * failed).toFixed(1)} % of them for nothing`)

      expect(await clock.until(parked(proof))).toEqual([])
      expect(remote.blobs.size).toBe(JOBS)
      for (let n = 0; n < JOBS; n++) {
        const { bytes } = remote.blobs.get(keyOf(n)) ?? { bytes: 'not there' }
        if (!blob(n).equals(bytes as Uint8Array)) expect.fail(`${keyOf(n)} holds other bytes`)
      }
      expect(await wrongReads(proof)).toEqual([])
      expect(troubles.seen).toEqual([])
      expect(puts).toBeLessThanOrEqual(PUTS_PER_JOB)
    },
  )
})

async function inTurns(
  { clock }: Proof<string>,
  numbers: readonly number[],
  work: (n: number) => Promise<unknown>,
): Promise<void> {
  for (let first = 0; first < numbers.length; first += AT_ONCE)
    await clock.until(Promise.all(numbers.slice(first, first + AT_ONCE).map(work)))
}

async function parked({ store }: Proof<string>) {
  return Array.fromAsync(store.jobs({ state: 'parked' }))
}

/** Reads everything while reads fail: what comes back must be right. */
async function wrongReads(proof: Proof<string>): Promise<string[]> {
  const wrong: string[] = []
  let right = 0
  await inTurns(proof, [...Array(JOBS).keys()], async (n) => {
    try {
      const bytes = await proof.store.get(keyOf(n))
      if (!bytes.equals(blob(n))) wrong.push(`${keyOf(n)}: other bytes`)
      else right++
    } catch (error) {
      if (!StorageError.is(error) || !READ_FAILURES.includes(error.code)) wrong.push(`${keyOf(n)}: ${error}`)
    }
  })
  tell(`${right} of ${JOBS} reads answered, the rest refused`)
  return wrong
}
