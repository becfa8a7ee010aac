import { Credential, type Secret } from '@stored/core/backend'

/** What requests are signed with. */
export interface Identity {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
  /** When it ends to be good. @default never, until it is refused */
  readonly expiration?: Date
}

/** The three options of which an identity is made, each of which may be a function. */
export interface Keys {
  readonly accessKeyId: Secret<string>
  readonly secretAccessKey: Secret<string>
  readonly sessionToken?: Secret<string>
}

/** @param secret Absent: the SDK looks for it where it always does. */
export function credentialOf(secret: Secret<Identity> | Keys | undefined): Credential<Identity | undefined> {
  if (secret === undefined) return new Credential<Identity | undefined>(undefined)
  const ask = typeof secret === 'function' ? async () => check(await secret()) : joined(secret)
  const expiresAt = (identity: Identity | undefined) => identity?.expiration?.getTime()
  return new Credential<Identity | undefined>(ask, { expiresAt, secretOf })
}

/** The id of a key is a name: with MinIO one that somebody chose. */
export function secretOf(identity: Identity | undefined): unknown {
  return [identity?.secretAccessKey, identity?.sessionToken]
}

function joined(keys: Keys | Identity): Secret<Identity> {
  if (!Object.values(keys).some((value) => typeof value === 'function')) return keys as Identity
  return async () => {
    const entries = Object.entries(keys).map(async ([name, value]) => [
      name,
      typeof value === 'function' ? await value() : value,
    ])
    return check(Object.fromEntries(await Promise.all(entries)))
  }
}

/** @throws {TypeError} which names no value. */
function check(identity: Identity): Identity {
  for (const name of ['accessKeyId', 'secretAccessKey'] as const)
    if (typeof identity?.[name] !== 'string' || identity[name] === '')
      throw new TypeError(`the function gave no ${name}`)
  return identity
}
