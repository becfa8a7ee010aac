import { type ErrorLocation, StorageError } from '../../backend/error.ts'
import { describeType } from '../../backend/options.ts'
import type { BlobId, Digests } from '../../model/blob.ts'
import type { Staged } from '../../ports/staging.ts'
import type { Services } from '../services.ts'
import type { Received } from '../types.ts'

interface Bytes {
  readonly staged: Staged
  readonly id: BlobId
  readonly size: number
  readonly digests: Digests
  readonly head: Uint8Array
  readonly path: string | undefined
  /** The store that holds them. */
  readonly for: Services
}

const WHY_NOT = {
  committing: 'another call is committing these bytes',
  committed: 'these bytes were committed: receive them again for another key, or link the key to their id',
  unknown: 'whether these bytes were committed is unknown: look what the key is bound to, and receive them again',
  gone: 'these bytes were let go: receive them again',
} as const

/*
 * The life of received bytes:
 *
 *   HELD ──commit()──▶ COMMITTING ──▶ COMMITTED
 *    │ ▲                 │  │
 *    │ └─── rejected ────┘  └─ ambiguous ─▶ UNKNOWN: from now on only rows decide over them
 *    └──────── let go, or the store closes ─▶ GONE
 */
export class ReceivedBytes implements Received {
  readonly id: BlobId
  readonly size: number
  readonly digests: Digests
  readonly head: Uint8Array
  /** The file that they were read from. */
  readonly path: string | undefined
  readonly #staged: Staged
  readonly #for: Services
  readonly #onEnd: (() => void)[] = []
  #state: 'held' | keyof typeof WHY_NOT = 'held'
  #committing: Promise<unknown> | undefined

  constructor({ staged, id, size, digests, head, path, for: services }: Bytes) {
    this.id = id
    this.size = size
    this.digests = digests
    this.head = head
    this.path = path
    this.#staged = staged
    this.#for = services
  }

  /** @throws {StorageError} INVALID_ARGUMENT: something else, or another store's. */
  static of(value: unknown, services: Services, at: ErrorLocation): ReceivedBytes {
    if (typeof value === 'object' && value !== null && #for in value && value.#for === services) return value
    const detail = `the bytes are those that receive() of this store returned, not ${describeType(value)}`
    throw new StorageError('INVALID_ARGUMENT', at, { detail })
  }

  onEnd(action: () => void): void {
    this.#onEnd.push(action)
  }

  /**
   * Hands them to what commits them. After a rejection that is not `ambiguous` they can be used again.
   *
   * @throws {StorageError} CONFLICT: another call is at it, or nobody knows how one ended · INVALID_ARGUMENT: they are no longer there.
   */
  async use<T>(commit: (staged: Staged) => Promise<T>, at: ErrorLocation): Promise<T> {
    if (this.#state !== 'held') throw this.#unusable(this.#state, at)
    this.#state = 'committing'
    const committing = commit(this.#staged)
    this.#committing = committing
    try {
      await committing
      this.#state = 'committed'
    } catch (error) {
      this.#state = StorageError.is(error) && error.ambiguous ? 'unknown' : 'held'
      throw error
    }
    await this.#end()
    return committing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled([this.#committing])
    if (this.#state === 'held') this.#state = 'gone'
    await this.#end()
  }

  /** Staging keeps what a commit may have kept. */
  async #end(): Promise<void> {
    for (const action of this.#onEnd.splice(0)) action()
    await this.#staged[Symbol.asyncDispose]()
  }

  #unusable(state: keyof typeof WHY_NOT, at: ErrorLocation): StorageError {
    const code = state === 'committing' || state === 'unknown' ? 'CONFLICT' : 'INVALID_ARGUMENT'
    return new StorageError(code, at, { detail: WHY_NOT[state], ...(state === 'unknown' && { retryable: false }) })
  }
}
