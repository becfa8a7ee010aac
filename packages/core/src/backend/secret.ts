import { StorageError } from './error.ts'
import { keepSecret } from './redact.ts'

/** How a driver takes a credential: as it is, or as a function that is asked for it, and asked again when it is no longer good. */
export type Secret<T> = T | (() => T | Promise<T>)

/** What is known of a credential beforehand. */
export interface CredentialOptions<T> {
  /** When a credential ends to be good, in milliseconds since the epoch. @default never, until it is refused */
  readonly expiresAt?: (credential: T) => number | undefined
  /** What of it errors and log events leave out: not a name, which may stand in them for something else. @default all of it */
  readonly secretOf?: (credential: T) => unknown
}

/** Whether a call may be made again. */
export interface UseOptions {
  /** Asked before the call is made a second time: not where its body has been read from. @default always */
  readonly again?: () => boolean
}

/**
 * Holds a credential for a driver: asks for it when it is first needed, keeps it until it has expired or was refused, and is
 * not printed by `util.inspect` or `JSON.stringify`. Errors and log events leave out what it gave. Calls made while it is being asked
 * for wait for the same answer.
 */
export class Credential<T> {
  readonly #ask: () => T | Promise<T>
  /** Whether asking again may give another. */
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
   * Makes a call with the credential. When it rejects with UNAUTHENTICATED, the credential is forgotten; one that a function
   * gave is asked for anew, and the call made once more.
   *
   * @throws {StorageError} UNAUTHENTICATED, also when the function fails · what `call` rejects with.
   */
  async use<R>(call: (credential: T) => Promise<R>, { again = () => true }: UseOptions = {}): Promise<R> {
    const held = this.#current()
    try {
      return await call(await this.#good(held))
    } catch (error) {
      if (!StorageError.is(error) || error.code !== 'UNAUTHENTICATED') throw error
      // Another call may have asked anew in the meantime.
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
