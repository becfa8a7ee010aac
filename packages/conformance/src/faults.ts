import { StorageError } from '@stored/core/backend'
import { randomFrom } from './payload.ts'

/** The methods of a backend that can fail on purpose. */
export type FaultyMethod =
  | 'put'
  | 'get'
  | 'stat'
  | 'delete'
  | 'list'
  | 'copy'
  | 'deleteMany'
  | 'signedUrl'
  | 'watch'
  | 'sweep'

/** The share of calls that fail in each way, from 0 to 1. A call fails in at most one. All default to 0. */
export interface FaultRates {
  /** Any call: UNAVAILABLE, before anything has happened. */
  readonly error: number
  /** `put`, `delete`, `copy`: applied, then answered with an UNAVAILABLE that is `ambiguous`. */
  readonly applied: number
  /** `put`: part of the body is stored under the key, then answered like `applied`. No conforming driver does this. */
  readonly partial: number
  /** `get`: one bit of the body is flipped. */
  readonly wrongBytes: number
  /** `get`: the body throws UNAVAILABLE part-way. */
  readonly cut: number
  /** `list`: the state before the latest changes made through this instance. */
  readonly staleList: number
  /** Any call, and those that follow it: RATE_LIMITED with `retryAfterMs`. */
  readonly rateLimited: number
  /** Any call: no answer until its signal aborts. */
  readonly hang: number
  /** `put`: delivered twice, as by a network that repeats a request. The second changes only the etag. */
  readonly duplicate: number
}

/** What may happen to a call. */
export type Fault = keyof FaultRates

const WRITES: readonly FaultyMethod[] = ['put', 'delete', 'copy']

/** Which methods a fault can affect; those not listed here affect all. */
const ONLY: Partial<Record<Fault, readonly FaultyMethod[]>> = {
  applied: WRITES,
  partial: ['put'],
  wrongBytes: ['get'],
  cut: ['get'],
  staleList: ['list'],
  duplicate: ['put'],
}

export const NO_FAULTS: FaultRates = Object.freeze({
  error: 0,
  applied: 0,
  partial: 0,
  wrongBytes: 0,
  cut: 0,
  staleList: 0,
  rateLimited: 0,
  hang: 0,
  duplicate: 0,
})

/** @throws {StorageError} INVALID_ARGUMENT for a rate outside 0 to 1, or if they add up to more than 1. */
export function checkRates(rates: FaultRates): FaultRates {
  const at = { op: 'FaultyBackend' }
  const sum = Object.values(rates).reduce((total, rate) => total + rate, 0)
  // A sum of rates such as 0.1 and 0.2 may be off by the last bit.
  if (sum > 1 + 1e-9) throw new StorageError('INVALID_ARGUMENT', at, { detail: 'the rates must add up to at most 1' })
  return rates
}

/**
 * Decides what fails. The n-th call of a method has the same outcome in every run with the same seed and rates,
 * regardless of calls of other methods.
 */
export class Dice {
  readonly #seed: number
  readonly #randoms = new Map<FaultyMethod, () => number>()
  /** The position of a fault in a body, from 0 to below 1. */
  readonly place: () => number

  constructor(seed: number) {
    this.#seed = seed
    this.place = randomFrom(~seed)
  }

  throw(method: FaultyMethod, rates: FaultRates): Fault | null {
    let drawn = this.#draw(method)
    for (const [fault, rate] of Object.entries(rates) as [Fault, number][]) {
      if (drawn < rate) return ONLY[fault]?.includes(method) === false ? null : fault
      drawn -= rate
    }
    return null
  }

  #draw(method: FaultyMethod): number {
    let random = this.#randoms.get(method)
    if (random === undefined) {
      random = randomFrom([...method].reduce((hash, char) => Math.imul(hash, 31) + char.charCodeAt(0), this.#seed))
      this.#randoms.set(method, random)
    }
    return random()
  }
}
