import { Credential, type Secret } from '@stored/core/backend'

/** The credentials that sign requests. */
export interface Identity {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
  /** When it expires. @default never, until it is refused */
  readonly expiration?: Date
}

/** The three options that make up an identity; each may be a function. */
export interface Keys {
  readonly accessKeyId: Secret<string>
  readonly secretAccessKey: Secret<string>
  readonly sessionToken?: Secret<string>
}

/** @param secret Absent: the SDK looks in its usual places. */
export function credentialOf(secret: Secret<Identity> | Keys | undefined): Credential<Identity | undefined> {
  if (secret === undefined) return new Credential<Identity | undefined>(undefined)
  const ask = typeof secret === 'function' ? async () => check(await secret()) : joined(secret)
  const expiresAt = (identity: Identity | undefined) => identity?.expiration?.getTime()
  return new Credential<Identity | undefined>(ask, { expiresAt, secretOf })
}

/** The id of a key is a name: with MinIO the user chooses it. */
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

/** @throws {TypeError} Without the value. */
function check(identity: Identity): Identity {
  for (const name of ['accessKeyId', 'secretAccessKey'] as const)
    if (typeof identity?.[name] !== 'string' || identity[name] === '')
      throw new TypeError(`the function returned no ${name}`)
  return identity
}
