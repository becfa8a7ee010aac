import type { Failure } from '@stored/core'
import { MAX_DELAY_MS } from '../queue/limits.ts'
import type { Verdict } from './policy.ts'

/** Failures in a row that open it. */
const IN_A_ROW = 5
/** The number of outcomes considered, and the share of failures among them that opens it. */
const WINDOW = 20
const SHARE = 0.5
const FIRST_WAIT_MS = 1000
const MAX_WAIT_MS = 5 * 60 * 1000

/** Permission to try a job. */
export interface Permit {
  /** The one try that finds out whether the backend is back. */
  readonly isProbe: boolean
  /** The job has not failed yet. */
  readonly isFresh: boolean
  readonly epoch: number
}

export interface BreakerOptions {
  /** From 0 to below 1. @default Math.random */
  readonly random?: () => number
  /** Milliseconds on a monotonic clock. @default performance.now */
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
 * Waits are 1 s to 5 min, or up to an hour if the backend asks for it, with jitter, so that many clients do not return together.
 *
 * Only a few jobs may have failed, for a reason of their own, such as a closed directory. So one that has not failed yet is tried at
 * once when failures in a row open it. If it fails too, the next one waits; probes by jobs that failed before do not lengthen that.
 */
export class Breaker {
  readonly #random: () => number
  readonly #now: () => number
  /** The outcomes of the last tries, the latest last. */
  #outcomes: boolean[] = []
  #waitMs = 0
  #openUntil: number | null = null
  #freshWaitMs = 0
  #freshUntil = 0
  #isProbing = false
  /** Verdicts on tries begun before it last opened or closed are outdated. */
  #epoch = 0
  #cause: Failure | null = null
  #failedAt = 0

  constructor({ random = Math.random, now = () => performance.now() }: BreakerOptions = {}) {
    this.#random = random
    this.#now = now
  }

  /** Why it is open; `null` if it is not, or not because of anything seen here. */
  get cause(): Failure | null {
    return this.#openUntil === null ? null : this.#cause
  }

  /** Milliseconds since it last failed. */
  get ageMs(): number {
    return this.#now() - this.#failedAt
  }

  get isOpen(): boolean {
    return this.#openUntil !== null
  }

  /** How many more jobs may begin. */
  get room(): number {
    return this.#roomAfter(this.waitMs)
  }

  /** How many more jobs that have not failed yet may begin. */
  get freshRoom(): number {
    return this.#roomAfter(this.freshWaitMs)
  }

  /** Milliseconds until it lets a job through: 0 now, `Infinity` if the end of a probe decides. */
  get waitMs(): number {
    if (this.#isProbing) return Number.POSITIVE_INFINITY
    return this.#openUntil === null ? 0 : Math.max(0, this.#openUntil - this.#now())
  }

  /** The same for a job that has not failed yet. */
  get freshWaitMs(): number {
    return Math.min(
      this.waitMs,
      this.#isProbing ? Number.POSITIVE_INFINITY : Math.max(0, this.#freshUntil - this.#now()),
    )
  }

  /** Takes permission to try one job; there must be room. @param o.isFresh It has not failed yet. */
  permit({ isFresh = false }: { isFresh?: boolean } = {}): Permit {
    const isProbe = this.#openUntil !== null
    this.#isProbing = isProbe
    return { isProbe, isFresh, epoch: this.#epoch }
  }

  /** @param retryAfterMs The pause that the backend asked for. */
  report(permit: Permit, verdict: Verdict, error?: Failure, retryAfterMs = 0): void {
    const { isProbe, epoch } = permit
    if (epoch !== this.#epoch) return
    if (isProbe) this.#isProbing = false
    if (verdict === 'nothing' || (verdict === 'unclear' && !isProbe)) return
    if (verdict === 'answered') {
      if (isProbe) this.#close()
      else this.#note(true)
      return
    }
    this.#note(false)
    const isTold = verdict === 'unusable' || retryAfterMs > 0
    if (!isProbe && !isTold && !this.#failsTooOften()) return
    if (verdict !== 'unclear' || this.#cause === null) this.#cause = error as Failure
    this.#failedAt = this.#now()
    this.#open(permit, isTold, retryAfterMs)
  }

  /**
   * Called before the first try: the backend failed in an earlier process. One probe finds out whether it still does.
   */
  doubt(): void {
    this.#openUntil = this.#now()
    this.#epoch++
  }

  /** Lets the next probe through at once. */
  retry(): void {
    if (this.#openUntil === null) return
    this.#openUntil = this.#now()
    this.#waitMs = 0
    this.#freshWaitMs = 0
  }

  #roomAfter(waitMs: number): number {
    if (this.#openUntil === null) return Number.POSITIVE_INFINITY
    return waitMs > 0 ? 0 : 1
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

  /** @param isTold The backend spoke for itself: no other job can show that it works. */
  #open({ isProbe, isFresh }: Permit, isTold: boolean, retryAfterMs: number): void {
    const isFirstFresh = isProbe && isFresh && this.#freshWaitMs === 0
    // The first of those is heard before the wait that its opening began counts as over.
    this.#waitMs = isFirstFresh ? Math.max(this.#waitMs, FIRST_WAIT_MS) : longer(this.#waitMs)
    const share = 0.5 + this.#random() / 2
    this.#openUntil = this.#now() + Math.max(this.#waitMs * share, Math.min(retryAfterMs, MAX_DELAY_MS))
    this.#epoch++
    if (isTold) {
      this.#freshWaitMs = this.#waitMs
      this.#freshUntil = this.#openUntil
    } else if (!isProbe) this.#freshUntil = this.#now()
    else if (isFresh) {
      this.#freshWaitMs = longer(this.#freshWaitMs)
      this.#freshUntil = this.#now() + this.#freshWaitMs * share
    }
  }

  #close(): void {
    this.#openUntil = null
    this.#waitMs = 0
    this.#freshWaitMs = 0
    this.#outcomes = []
    this.#cause = null
    this.#epoch++
  }
}

function longer(waitMs: number): number {
  return Math.min(MAX_WAIT_MS, waitMs === 0 ? FIRST_WAIT_MS : 2 * waitMs)
}
