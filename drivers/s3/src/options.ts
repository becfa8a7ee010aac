import {
  type Check,
  checkOptions,
  type ErrorLocation,
  is,
  needed,
  type OptionRulesOf,
  type Secret,
  StorageError,
} from '@stored/core/backend'
import { FLAVORS, type Flavor, flavorOf } from './flavors.ts'
import type { Identity } from './identity.ts'

/** Options of the driver `s3`. */
export interface S3BackendOptions {
  /** The bucket. It must already exist. */
  readonly bucket: string
  /**
   * An http or https URL. It may have a path, like Supabase's: `https://ID.supabase.co/storage/v1/s3`. It never holds the
   * bucket, which has its own option.
   *
   * @default that of AWS in `region`
   */
  readonly endpoint?: string
  /**
   * The region of the bucket, which requests are signed for.
   *
   * @default what the SDK finds with AWS, `auto` with R2, else `us-east-1`
   */
  readonly region?: string
  /**
   * `aws`, `r2`, `minio`, `ceph` or `generic`: what the driver assumes about the service.
   *
   * @default by `endpoint`: `aws`, `r2` or `generic`
   */
  readonly flavor?: Flavor
  /** Whether the bucket is in the path instead of the host name. @default `true`, except for AWS */
  readonly forcePathStyle?: boolean
  /** Put before every key; `backup/` keeps the blobs below that. @default none */
  readonly prefix?: string
  /**
   * Text, or a function that is called again when the credentials are refused. Together with `secretAccessKey`.
   *
   * @default what the SDK finds
   */
  readonly accessKeyId?: Secret<string>
  /** Text or a function, together with `accessKeyId`. @default what the SDK finds */
  readonly secretAccessKey?: Secret<string>
  /** Text or a function: the token of temporary credentials. @default what the SDK finds */
  readonly sessionToken?: Secret<string>
  /**
   * Instead of those three: all of them at once, or a function that returns them, with an `expiration` if they have one.
   */
  readonly credentials?: Secret<Identity>
  /**
   * Larger blobs are uploaded in parts of this size in bytes, from 5 MiB to 5 GiB; in larger parts if 9,500 would not
   * suffice. All puts together have five in memory.
   *
   * @default 8 MiB
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
const SECRET: Check = {
  expected: 'a string or a function',
  holds: (value) => isName(value) || typeof value === 'function',
  schema: is.text.schema,
}

const ENDPOINT =
  'an http or https URL without user and query; of AWS and R2, which have the bucket apart, also without path'

export const OPTIONS = {
  bucket: needed({
    expected: 'the name of a bucket',
    holds: (value: unknown) => typeof value === 'string' && /^[\w.-]{3,255}$/.test(value),
    shown: 'string',
    schema: { type: 'string', pattern: '^[\\w.-]{3,255}$' },
    doc: 'The bucket. It must already exist.',
  }),
  // It may hold a password, so it is not shown.
  endpoint: {
    expected: ENDPOINT,
    holds: isEndpoint,
    schema: is.text.schema,
    otherwise: 'that of AWS in `region`',
    doc: "An http or https URL. It may have a path, like Supabase's: `https://ID.supabase.co/storage/v1/s3`. It never holds the bucket, which has its own option.",
  },
  region: {
    ...is.text,
    expected: 'the name of a region',
    otherwise: 'what the SDK finds with AWS, `auto` with R2, else `us-east-1`',
    doc: 'The region of the bucket, which requests are signed for.',
  },
  flavor: {
    ...is.oneOf(FLAVORS),
    otherwise: 'by `endpoint`: `aws`, `r2` or `generic`',
    doc: '`aws`, `r2`, `minio`, `ceph` or `generic`: what the driver assumes about the service.',
  },
  forcePathStyle: {
    ...is.boolean,
    otherwise: '`true`, except for AWS',
    doc: 'Whether the bucket is in the path instead of the host name.',
  },
  prefix: {
    expected: 'the beginning of a key, of at most 512 bytes',
    holds: isPrefix,
    shown: 'string',
    schema: { type: 'string', maxLength: 512 },
    default: '',
    otherwise: 'none',
    doc: 'Put before every key; `backup/` keeps the blobs below that.',
  },
  accessKeyId: {
    ...SECRET,
    otherwise: 'what the SDK finds',
    doc: 'Text, or a function that is called again when the credentials are refused. Together with `secretAccessKey`.',
  },
  secretAccessKey: {
    ...SECRET,
    otherwise: 'what the SDK finds',
    doc: 'Text or a function, together with `accessKeyId`.',
  },
  sessionToken: {
    ...SECRET,
    otherwise: 'what the SDK finds',
    doc: 'Text or a function: the token of temporary credentials.',
  },
  credentials: {
    expected: 'accessKeyId and secretAccessKey, or a function',
    holds: (value) => typeof value === 'function' || isIdentity(value),
    schema: { type: 'object', required: ['accessKeyId', 'secretAccessKey'] },
    doc: 'Instead of those three: all of them at once, or a function that returns them, with an `expiration` if they have one.',
  },
  partSize: {
    ...is.whole(5 * MIB, 5120 * MIB),
    expected: 'a whole number of bytes, from 5 MiB to 5 GiB',
    default: 8 * MIB,
    otherwise: '8 MiB',
    doc: 'Larger blobs are uploaded in parts of this size in bytes, from 5 MiB to 5 GiB; in larger parts if 9,500 would not suffice. All puts together have five in memory.',
  },
} as const satisfies OptionRulesOf<S3BackendOptions>

/** @throws {StorageError} INVALID_ARGUMENT, naming the option and, unless it is secret, its value. */
export function parseOptions(options: unknown): Settings {
  const given = checkOptions(options as S3BackendOptions & Pick<Settings, 'prefix' | 'partSize'>, OPTIONS, AT)
  checkSecrets(given)
  const { flavor = flavorOf(given.endpoint) } = given
  // The SDK appends a slash, and would sign two.
  const endpoint = given.endpoint?.replace(/\/+$/, '')
  return { ...given, ...(endpoint !== undefined && { endpoint }), flavor }
}

function checkSecrets(given: S3BackendOptions): void {
  const keys = (['accessKeyId', 'secretAccessKey', 'sessionToken'] as const).filter((name) => given[name] !== undefined)
  if (given.credentials !== undefined && keys.length > 0)
    throw refusal(`options "credentials" and "${keys[0]}" exclude each other`)
  if (keys.length > 0 && (given.accessKeyId === undefined || given.secretAccessKey === undefined))
    throw refusal('options "accessKeyId" and "secretAccessKey" must be given together')
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
  // Paths that need no escaping, so that it does not matter how often they are escaped for signing.
  return pathname === '/' || (flavorOf(value) === 'generic' && /^(\/[\w.~-]+)+\/?$/.test(pathname))
}

function refusal(detail: string): StorageError {
  return new StorageError('INVALID_ARGUMENT', AT, { detail })
}
