import { StorageError } from './error.ts'
import { keepSecret } from './redact.ts'

/** A credential: the value, or a function that returns it and is called again when the value is no longer valid. */
export type Secret<T> = T | (() => T | Promise<T>)

/** What a driver knows about a credential in advance. */
export interface CredentialOptions<T> {
  /** When a credential expires, in milliseconds since the epoch. @default never, until it is refused */
  readonly expiresAt?: (credential: T) => number | undefined
  /** The part that errors and log events must not show. Leave out names, which may appear there for other reasons. @default all of it */
  readonly secretOf?: (credential: T) => unknown
}

/** Whether a call may be made again. */
export interface UseOptions {
  /** Whether the call may be repeated: not if its body has been read from. @default always */
  readonly again?: () => boolean
}

/**
 * Holds a credential for a driver. It asks for it on first use, keeps it until it has expired or was refused, and is not printed by
 * `util.inspect` or `JSON.stringify`. Errors and log events leave out what it supplied. Concurrent calls wait for the same answer.
 */
export class Credential<T> {
  readonly #ask: () => T | Promise<T>
  /** Whether asking again may return a different one. */
  readonly #renewable: boolean
  readonly #expiresAt: (credential: T) => number | undefined
  readonly #secretOf: (credential: T) => unknown
  #held: Promise<T> | undefined

  constructor(
    secret: Secret<T>,
    { expiresAt = () => undefined, secretOf = (credential) => credential }: CredentialOptions<T> = {},
  ) {
    this.#renewable = typeof secret === 'function'
    this.#ask = typeof secret === 'function' ? (secret as () => T | Promise<T>) : () => secret
    this.#expiresAt = expiresAt
    this.#secretOf = secretOf
  }

  /**
   * Makes a call with the credential. If it rejects with UNAUTHENTICATED, the credential is forgotten. If a function supplied it, it is
   * asked again, and the call is repeated once.
   *
   * @throws {StorageError} UNAUTHENTICATED, also if the function fails · what `call` rejects with.
   */
  async use<R>(call: (credential: T) => Promise<R>, { again = () => true }: UseOptions = {}): Promise<R> {
    const held = this.#current()
    try {
      return await call(await this.#good(held))
    } catch (error) {
      if (!StorageError.is(error) || error.code !== 'UNAUTHENTICATED') throw error
      // Another call may have renewed it since.
      if (this.#held === held) this.#held = undefined
      if (!this.#renewable || !again()) throw error
    }
    return call(await this.#good(this.#current()))
  }

  #current(): Promise<T> {
    this.#held ??= this.#renew()
    return this.#held
  }

  async #good(held: Promise<T>): Promise<T> {
    const credential = await held
    if (Date.now() < (this.#expiresAt(credential) ?? Number.POSITIVE_INFINITY)) return credential
    if (this.#held === held) this.#held = undefined
    return this.#current()
  }

  async #renew(): Promise<T> {
    try {
      const credential = await this.#ask()
      keepSecret(this, this.#secretOf(credential))
      return credential
    } catch (cause) {
      this.#held = undefined
      const detail = 'the credential could not be obtained'
      throw new StorageError('UNAUTHENTICATED', { op: 'credential' }, { detail, cause })
    }
  }
}
