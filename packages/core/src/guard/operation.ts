import { type ErrorLocation, StorageError, type StorageErrorCode, toStorageError } from '../backend/error.ts'
import type { Watchdog, Watched } from './watchdog.ts'

/** How long a driver has to come back after an abort. */
const GRACE_MS = 2000

/** What an operation is told by its guard. */
export interface Supervision {
  /** Ends it when no byte goes either way for too long. @default it may stand still */
  readonly watchdog?: Watchdog | undefined
  /** Called when the operation has ended. */
  onEnd?(operation: Operation): void
  /** Called when the driver did not come back and was left to itself. */
  onDetach?(at: ErrorLocation): void
}

/** Why an operation was aborted, as it will be reported. */
interface Verdict {
  readonly code: StorageErrorCode
  readonly detail?: string
  readonly cause?: unknown
}

/**
 * Who waits. Not a closure over it, made for each chunk and hardly ever called: V8 then collects garbage twice as often, which
 * cost a third of the processor time of a large read (measured, Node.js 24).
 */
interface Waiting {
  readonly reject: (error: unknown) => void
  /** Whether the driver has time to come back after an abort. */
  readonly isPatient: boolean
  left: boolean
}

/**
 * One call under way: the signal its driver gets, the watchdog over it, and the way out when the driver does not come back.
 *
 * The signal is aborted by the caller's, by a stall, or by `stop`. The driver's own answer is then waited for, as it says what
 * became of the call, but not for ever. One thing is waited for at a time.
 */
export class Operation implements Watched {
  readonly at: ErrorLocation
  readonly #supervision: Supervision
  readonly #controller = new AbortController()
  readonly #caller: AbortSignal | undefined
  readonly #onCallerAbort = (): void =>
    this.#abort({ code: 'ABORTED', cause: this.#caller?.reason }, this.#caller?.reason)
  #verdict: Verdict | undefined
  #waiting: Waiting | undefined
  #onSettled: (() => void) | undefined
  #grace: NodeJS.Timeout | undefined
  /** Once its driver was asked for the first time. */
  #lastByte: number | undefined

  constructor(at: ErrorLocation, supervision: Supervision, caller: AbortSignal | undefined) {
    this.at = at
    this.#supervision = supervision
    this.#caller = caller
    if (caller?.aborted) this.#onCallerAbort()
    else caller?.addEventListener('abort', this.#onCallerAbort)
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** A byte went by. */
  touch(): void {
    this.#lastByte = performance.now()
  }

  stop(code: StorageErrorCode, detail: string): void {
    this.#abort({ code, detail }, new StorageError(code, this.at, { detail }))
  }

  throwIfAborted(): void {
    if (this.#verdict !== undefined) throw this.failure(undefined)
  }

  /** Waits for what is not the driver's answer; an abort ends the waiting at once. */
  until<T>(work: PromiseLike<T>): Promise<T> {
    return this.#wait(work, false)
  }

  /**
   * Waits for the driver, under the watchdog; after an abort, two seconds more.
   *
   * @param discard Frees an answer that came too late.
   */
  settle<T>(work: PromiseLike<T>, discard?: (late: T) => void): Promise<T> {
    this.touch()
    this.#supervision.watchdog?.watch()
    return this.#wait(work, true, discard)
  }

  get isWaiting(): boolean {
    return this.#waiting !== undefined
  }

  get stallsAt(): number {
    const { watchdog } = this.#supervision
    // A consumer may take its time, and so may those before it in the line. An abort is followed by a grace of its own.
    if (!watchdog || this.#lastByte === undefined || !this.isWaiting || this.#verdict) return Number.POSITIVE_INFINITY
    return this.#lastByte + watchdog.idleTimeoutMs
  }

  stall(): void {
    this.stop('TIMEOUT', `no byte went by for ${this.#supervision.watchdog?.idleTimeoutMs} ms`)
  }

  /** Resolves once nothing is waited for. */
  settled(): Promise<void> {
    if (!this.isWaiting) return Promise.resolve()
    return new Promise((resolve) => {
      this.#onSettled = resolve
    })
  }

  /** What the operation fails with, given what its driver or its source failed with. */
  failure(error: unknown): StorageError {
    if (this.#verdict !== undefined) return this.#aborted(StorageError.is(error) && error.ambiguous)
    return located(toStorageError(error, this.at), this.at)
  }

  end(): void {
    clearTimeout(this.#grace)
    this.#caller?.removeEventListener('abort', this.#onCallerAbort)
    this.#supervision.onEnd?.(this)
  }

  #abort(verdict: Verdict, reason: unknown): void {
    if (this.#verdict !== undefined) return
    this.#verdict = verdict
    this.#controller.abort(reason)
    if (this.#waiting !== undefined) this.#interrupt(this.#waiting)
  }

  #aborted(ambiguous: boolean): StorageError {
    const { code, ...rest } = this.#verdict as Verdict
    return new StorageError(code, this.at, { ...rest, ambiguous })
  }

  #wait<T>(work: PromiseLike<T>, isPatient: boolean, discard?: (late: T) => void): Promise<T> {
    return new Promise((resolve, reject) => {
      const waiting = { reject, isPatient, left: false }
      this.#waiting = waiting
      work.then(
        (value) => {
          if (waiting.left) return discard?.(value)
          this.#settle()
          resolve(value)
        },
        (error) => {
          if (!waiting.left) this.#leave(waiting, this.failure(error))
        },
      )
      if (this.#verdict !== undefined) this.#interrupt(waiting)
    })
  }

  #interrupt(waiting: Waiting): void {
    if (waiting.isPatient) this.#allowGrace(waiting)
    else this.#leave(waiting, this.failure(undefined))
  }

  #allowGrace(waiting: Waiting): void {
    this.#grace = setTimeout(() => {
      this.#supervision.onDetach?.(this.at)
      this.#leave(waiting, this.#aborted(true))
    }, GRACE_MS)
    this.#grace.unref()
  }

  #leave(waiting: Waiting, error: StorageError): void {
    waiting.left = true
    this.#settle()
    waiting.reject(error)
  }

  #settle(): void {
    this.#waiting = undefined
    clearTimeout(this.#grace)
    this.#onSettled?.()
  }
}

/** `error` with the name a backend was configured under, where its driver could only give its own. */
function located(error: StorageError, at: ErrorLocation): StorageError {
  if (error.at.backend === at.backend) return error
  const { code, retryable, ambiguous, retryAfterMs, detail } = error
  return new StorageError(code, at, {
    retryable,
    ambiguous,
    ...(error.cause !== undefined && { cause: error.cause }),
    ...(detail !== undefined && { detail }),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  })
}
