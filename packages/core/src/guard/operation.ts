import { type ErrorLocation, StorageError, type StorageErrorCode, toStorageError } from '../backend/error.ts'
import type { Watchdog, Watched } from './watchdog.ts'

/** How long a driver has to return after an abort. */
const GRACE_MS = 2000

/** How a guard supervises an operation. */
export interface Supervision {
  /** Ends it when no byte goes either way for too long. @default it may stand still */
  readonly watchdog?: Watchdog | undefined
  /** Called when the operation has ended. */
  onEnd?(operation: Operation): void
  /** Called if the driver did not return and was abandoned. */
  onDetach?(at: ErrorLocation): void
}

/** Why an operation was aborted, as it will be reported. */
interface Verdict {
  readonly code: StorageErrorCode
  readonly detail?: string
  readonly cause?: unknown
}

/**
 * The pending wait. An object rather than a closure for each chunk, which would hardly ever be called: with closures V8
 * collects garbage twice as often, which cost a third of the processor time of a large read (measured, Node.js 24).
 */
interface Waiting {
  readonly reject: (error: unknown) => void
  /** Whether the driver gets time to return after an abort. */
  readonly isPatient: boolean
  left: boolean
}

/**
 * One call in progress: the signal for its driver, the watchdog, and the way out if the driver does not return.
 *
 * The signal is aborted by the caller's signal, by a stall, or by `stop`. After that the operation waits a limited time
 * for the driver's own answer, because it tells what became of the call. It waits for one thing at a time.
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

  /** Records that a byte moved. */
  touch(): void {
    this.#lastByte = performance.now()
  }

  stop(code: StorageErrorCode, detail: string): void {
    this.#abort({ code, detail }, new StorageError(code, this.at, { detail }))
  }

  throwIfAborted(): void {
    if (this.#verdict !== undefined) throw this.failure(undefined)
  }

  /** Waits for something other than the driver; an abort ends the wait at once. */
  until<T>(work: PromiseLike<T>): Promise<T> {
    return this.#wait(work, false)
  }

  /**
   * Waits for the driver, under the watchdog; after an abort, for two more seconds.
   *
   * @param discard Frees an answer that arrives too late.
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

  /** The error of the operation, given the error of its driver or source. */
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

/** `error` with the configured name of the backend, if its driver could only give its own. */
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
