import { checkOptions, describeType, type ErrorLocation, type Secret, StorageError } from '@stored/core/backend'
import { FLAVORS, type Flavor, flavorOf } from './flavors.ts'
import type { Identity } from './identity.ts'

/** Options of the driver `s3`. */
export interface S3BackendOptions {
  /** It has to be there already. */
  readonly bucket: string
  /** Where the service answers: an http or https URL. @default that of AWS in `region` */
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
const KNOWN = [
  ...['bucket', 'endpoint', 'region', 'flavor', 'forcePathStyle', 'prefix', 'partSize'],
  ...['accessKeyId', 'secretAccessKey', 'sessionToken', 'credentials'],
]

/** @throws {StorageError} INVALID_ARGUMENT, naming the option and, where it is no secret, what it is. */
export function parseOptions(options: unknown): Settings {
  checkOptions(options, KNOWN, AT)
  const given = options as Readonly<Record<string, unknown>>
  const { prefix = '', partSize = 8 * MIB } = given
  check(given, 'bucket', isBucket, 'the name of a bucket')
  if (given.bucket === undefined) throw wrong('bucket', 'the name of a bucket', 'undefined')
  // It may hold a password, so it is not shown.
  if (given.endpoint !== undefined && !isEndpoint(given.endpoint))
    throw refusal('option "endpoint" is an http or https URL without user, path and query')
  check(given, 'region', isName, 'the name of a region')
  check(given, 'flavor', (flavor) => FLAVORS.includes(flavor as Flavor), FLAVORS.join(', '))
  check(given, 'forcePathStyle', (value) => typeof value === 'boolean', 'true or false')
  check({ prefix }, 'prefix', isPrefix, 'the beginning of a key, of at most 512 bytes')
  check({ partSize }, 'partSize', isPartSize, 'a whole number of bytes, from 5 MiB to 5 GiB')
  checkSecrets(given)
  const { flavor = flavorOf(given.endpoint as string | undefined) } = given
  return { ...given, flavor, prefix, partSize } as Settings
}

function checkSecrets(given: Readonly<Record<string, unknown>>): void {
  const keys = ['accessKeyId', 'secretAccessKey', 'sessionToken'].filter((name) => given[name] !== undefined)
  for (const name of keys) {
    const value = given[name]
    if (typeof value !== 'function' && !isName(value)) throw wrong(name, 'text or a function', describeType(value))
  }
  const { credentials } = given
  if (credentials !== undefined && typeof credentials !== 'function' && !isIdentity(credentials))
    throw wrong('credentials', 'accessKeyId and secretAccessKey, or a function', describeType(credentials))
  if (credentials !== undefined && keys.length > 0)
    throw refusal(`options "credentials" and "${keys[0]}" exclude each other`)
  if (keys.length > 0 && (given.accessKeyId === undefined || given.secretAccessKey === undefined))
    throw refusal('options "accessKeyId" and "secretAccessKey" come together')
}

function check(
  given: Readonly<Record<string, unknown>>,
  name: string,
  isRight: (value: unknown) => boolean,
  expected: string,
): void {
  const value = given[name]
  if (value === undefined || isRight(value)) return
  throw wrong(name, expected, typeof value === 'string' ? JSON.stringify(value) : describeType(value))
}

const isName = (value: unknown): boolean => typeof value === 'string' && value !== ''
const isBucket = (value: unknown): boolean => typeof value === 'string' && /^[\w.-]{3,255}$/.test(value)
const isPrefix = (value: unknown): boolean =>
  typeof value === 'string' && value.isWellFormed() && !value.startsWith('/') && Buffer.byteLength(value) <= 512
const isPartSize = (value: unknown): boolean =>
  Number.isSafeInteger(value) && (value as number) >= 5 * MIB && (value as number) <= 5120 * MIB

function isIdentity(value: unknown): boolean {
  const { accessKeyId, secretAccessKey } = (value ?? {}) as Partial<Identity>
  return isName(accessKeyId) && isName(secretAccessKey)
}

function isEndpoint(value: unknown): boolean {
  if (typeof value !== 'string' || !URL.canParse(value)) return false
  const { protocol, username, password, pathname, search } = new URL(value)
  return /^https?:$/.test(protocol) && [username, password, search].every((part) => part === '') && pathname === '/'
}

function wrong(option: string, expected: string, found: string): StorageError {
  return refusal(`option "${option}" is ${expected}, not ${found}`)
}

function refusal(detail: string): StorageError {
  return new StorageError('INVALID_ARGUMENT', AT, { detail })
}
