import type { Failure } from '@stored/core'
import { MAX_DELAY_MS } from './policy.ts'

/** Failures in a row that open it. */
const IN_A_ROW = 5
/** The outcomes looked back on, and the share of failures among them that opens it. */
const WINDOW = 20
const SHARE = 0.5
const FIRST_WAIT_MS = 1000
const MAX_WAIT_MS = 5 * 60 * 1000

/**
 * What a try says of its backend.
 *
 * - `answered`: it did what was asked, or refused for a reason of the job's own
 * - `failed`: an outage, a stall, too many requests
 * - `unusable`: no job can succeed until somebody changes something
 * - `nothing`: the try ended for another reason
 */
export type Verdict = 'answered' | 'failed' | 'unusable' | 'nothing'

/** Leave to try a job. */
export interface Permit {
  /** The one try that finds out whether the backend is back. */
  readonly isProbe: boolean
  readonly epoch: number
}

export interface BreakerOptions {
  /** From 0 to below 1. @default Math.random */
  readonly random?: () => number
  /** Milliseconds on a clock that only goes forward. @default performance.now */
  readonly now?: () => number
}

/**
 * Keeps jobs from a backend that fails: an outage costs one probe at a time instead of the attempts of every job.
 *
 *   CLOSED ──5 failures in a row, half of the last 20, or `unusable`──▶ OPEN ──wait is over, permit()──▶ PROBING
 *     ▲                                                                  ▲                                │
 *     │                                                                  └───── failed: wait twice as long┤
 *     └─────────────────────────────── answered ──────────────────────────────────────────────────────────┘
 *
 * Waits are 1 s to 5 min, or up to an hour where the backend asks for it, with jitter, so that many clients do not come back together.
 */
export class Breaker {
  readonly #random: () => number
  readonly #now: () => number
  /** Of the last tries, the latest last. */
  #outcomes: boolean[] = []
  #waitMs = 0
  #openUntil: number | null = null
  #isProbing = false
  /** Verdicts on tries begun before it last opened or closed are old news. */
  #epoch = 0
  #cause: Failure | null = null

  constructor({ random = Math.random, now = () => performance.now() }: BreakerOptions = {}) {
    this.#random = random
    this.#now = now
  }

  /** Why it is open; `null` when it is not, or not for anything seen here. */
  get cause(): Failure | null {
    return this.#openUntil === null ? null : this.#cause
  }

  /** How many more jobs may be begun. */
  get room(): number {
    if (this.#openUntil === null) return Number.POSITIVE_INFINITY
    return this.#isProbing || this.#now() < this.#openUntil ? 0 : 1
  }

  /** Milliseconds until it lets a job through: 0 now, `Infinity` when the end of a probe decides. */
  get waitMs(): number {
    if (this.#isProbing) return Number.POSITIVE_INFINITY
    return this.#openUntil === null ? 0 : Math.max(0, this.#openUntil - this.#now())
  }

  /** Takes leave to try one job; there must be room. */
  permit(): Permit {
    const isProbe = this.#openUntil !== null
    this.#isProbing = isProbe
    return { isProbe, epoch: this.#epoch }
  }

  /** @param retryAfterMs What the backend asked for. */
  report({ isProbe, epoch }: Permit, verdict: Verdict, error?: Failure, retryAfterMs = 0): void {
    if (epoch !== this.#epoch) return
    if (isProbe) this.#isProbing = false
    if (verdict === 'nothing') return
    if (verdict === 'answered') {
      if (isProbe) this.#close()
      else this.#note(true)
      return
    }
    this.#note(false)
    if (isProbe || verdict === 'unusable' || retryAfterMs > 0 || this.#failsTooOften())
      this.#open(error as Failure, retryAfterMs)
  }

  /** Before its first try: the backend failed in an earlier process. One probe finds out whether it still does. */
  doubt(): void {
    this.#openUntil = this.#now()
    this.#epoch++
  }

  /** Lets the next probe through at once. */
  retry(): void {
    if (this.#openUntil === null) return
    this.#openUntil = this.#now()
    this.#waitMs = 0
  }

  #note(good: boolean): void {
    this.#outcomes.push(good)
    if (this.#outcomes.length > WINDOW) this.#outcomes.shift()
  }

  #failsTooOften(): boolean {
    const last = this.#outcomes.slice(-IN_A_ROW)
    if (last.length === IN_A_ROW && !last.includes(true)) return true
    const failures = this.#outcomes.filter((good) => !good).length
    return this.#outcomes.length === WINDOW && failures >= SHARE * WINDOW
  }

  #open(cause: Failure, retryAfterMs: number): void {
    this.#waitMs = Math.min(MAX_WAIT_MS, this.#waitMs === 0 ? FIRST_WAIT_MS : 2 * this.#waitMs)
    const jittered = this.#waitMs * (0.5 + this.#random() / 2)
    this.#openUntil = this.#now() + Math.max(jittered, Math.min(retryAfterMs, MAX_DELAY_MS))
    this.#cause = cause
    this.#epoch++
  }

  #close(): void {
    this.#openUntil = null
    this.#waitMs = 0
    this.#outcomes = []
    this.#epoch++
  }
}
