import {
  checkOptions,
  type ErrorLocation,
  is,
  needed,
  type Rule,
  type RulesOf,
  type Secret,
  StorageError,
} from '@stored/core/backend'
import { FLAVORS, type Flavor, flavorOf } from './flavors.ts'
import type { Identity } from './identity.ts'

/** Options of the driver `s3`. */
export interface S3BackendOptions {
  /** It has to be there already. */
  readonly bucket: string
  /** Where the service answers: an http or https URL, which may have a path. @default that of AWS in `region` */
  readonly endpoint?: string
  /** @default with AWS what the SDK finds (`AWS_REGION`, the shared configuration), `auto` with R2, else `us-east-1` */
  readonly region?: string
  /** Which service it is. @default by `endpoint`: `aws`, `r2` or `generic` */
  readonly flavor?: Flavor
  /** The bucket comes in the path, not in the name of the host. @default true, but for AWS */
  readonly forcePathStyle?: boolean
  /** Comes before every key; `backup/` keeps the blobs below that. @default none */
  readonly prefix?: string
  /** Together with `secretAccessKey`. @default what the SDK finds: environment, shared configuration, role of the machine */
  readonly accessKeyId?: Secret<string>
  readonly secretAccessKey?: Secret<string>
  readonly sessionToken?: Secret<string>
  /** Instead of the three above: all of them at once, by a function that is asked again when they expire or are refused. */
  readonly credentials?: Secret<Identity>
  /**
   * Larger blobs are uploaded in parts of this size, in bytes, from 5 MiB to 5 GiB. All puts together have five
   * in memory.
   *
   * @default 8 MiB, and more where 9,500 such parts are too few
   */
  readonly partSize?: number
}

export type Settings = S3BackendOptions & {
  readonly flavor: Flavor
  readonly prefix: string
  readonly partSize: number
}

const MIB = 1 << 20
const AT: ErrorLocation = { backend: 's3', op: 'constructor' }
const SECRET: Rule = {
  expected: 'a string or a function',
  holds: (value) => isName(value) || typeof value === 'function',
}

const ENDPOINT =
  'an http or https URL without user and query; of AWS and R2, which have the bucket apart, also without path'

const OPTIONS: RulesOf<S3BackendOptions> = {
  bucket: needed({
    expected: 'the name of a bucket',
    holds: (value) => typeof value === 'string' && /^[\w.-]{3,255}$/.test(value),
    shown: 'string',
  }),
  // It may hold a password, so it is not shown.
  endpoint: { expected: ENDPOINT, holds: isEndpoint },
  region: { ...is.text, expected: 'the name of a region' },
  flavor: is.oneOf(FLAVORS),
  forcePathStyle: is.boolean,
  prefix: { expected: 'the beginning of a key, of at most 512 bytes', holds: isPrefix, shown: 'string' },
  accessKeyId: SECRET,
  secretAccessKey: SECRET,
  sessionToken: SECRET,
  credentials: {
    expected: 'accessKeyId and secretAccessKey, or a function',
    holds: (value) => typeof value === 'function' || isIdentity(value),
  },
  partSize: { ...is.whole(5 * MIB, 5120 * MIB), expected: 'a whole number of bytes, from 5 MiB to 5 GiB' },
}

/** @throws {StorageError} INVALID_ARGUMENT, naming the option and, where it is no secret, what it is. */
export function parseOptions(options: unknown): Settings {
  const given = checkOptions(options as S3BackendOptions, OPTIONS, AT)
  checkSecrets(given)
  const { flavor = flavorOf(given.endpoint), prefix = '', partSize = 8 * MIB } = given
  // The SDK puts a slash behind it, and would sign two.
  const endpoint = given.endpoint?.replace(/\/+$/, '')
  return { ...given, ...(endpoint !== undefined && { endpoint }), flavor, prefix, partSize }
}

function checkSecrets(given: S3BackendOptions): void {
  const keys = (['accessKeyId', 'secretAccessKey', 'sessionToken'] as const).filter((name) => given[name] !== undefined)
  if (given.credentials !== undefined && keys.length > 0)
    throw refusal(`options "credentials" and "${keys[0]}" exclude each other`)
  if (keys.length > 0 && (given.accessKeyId === undefined || given.secretAccessKey === undefined))
    throw refusal('options "accessKeyId" and "secretAccessKey" come together')
}

const isName = (value: unknown): boolean => typeof value === 'string' && value !== ''

function isPrefix(value: unknown): boolean {
  return typeof value === 'string' && value.isWellFormed() && !value.startsWith('/') && Buffer.byteLength(value) <= 512
}

function isIdentity(value: unknown): boolean {
  const { accessKeyId, secretAccessKey } = (value ?? {}) as Partial<Identity>
  return isName(accessKeyId) && isName(secretAccessKey)
}

function isEndpoint(value: unknown): boolean {
  if (typeof value !== 'string' || !URL.canParse(value)) return false
  const { protocol, username, password, pathname, search, hash } = new URL(value)
  if (!/^https?:$/.test(protocol) || [username, password, search, hash].some((part) => part !== '')) return false
  // What needs no escaping: nobody has to guess how often it is escaped where it is signed.
  return pathname === '/' || (flavorOf(value) === 'generic' && /^(\/[\w.~-]+)+\/?$/.test(pathname))
}

function refusal(detail: string): StorageError {
  return new StorageError('INVALID_ARGUMENT', AT, { detail })
}
