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

/** Options of the driver `sftp`. */
export interface SftpBackendOptions {
  /** Name or address of the server. */
  readonly host: string
  /** Where the server listens. @default 22 */
  readonly port?: number
  /** The user to log in as. */
  readonly username: string
  /** Secret. One of `password`, `privateKey` and `agent` is needed. */
  readonly password?: Secret<string>
  /** Secret. The text of the key, not its path: OpenSSH, PEM or PuTTY. */
  readonly privateKey?: Secret<string>
  /** Secret. The passphrase of an encrypted `privateKey`. */
  readonly passphrase?: Secret<string>
  /** Path of the socket of an ssh-agent: `process.env.SSH_AUTH_SOCK`. */
  readonly agent?: string
  /** The server's host key, or several while it is being changed. This or `knownHosts` is required. */
  readonly hostFingerprint?: string | readonly string[]
  /**
   * Path of a file of host keys in OpenSSH's format. Hashed names, patterns and `@revoked` are supported; certificates are
   * not.
   */
  readonly knownHosts?: string
  /**
   * The directory that holds the blobs, absolute or relative to where the server starts. `open` creates it, but not its
   * parents.
   */
  readonly root: string
  /** Maximum number of open connections, 1 to 4. @default 4 */
  readonly connections?: number
  /**
   * Maximum reads or writes of one blob in flight, up to 2 MiB together, 1 to 64. Set 1 for a server that cannot handle
   * more.
   *
   * @default 64
   */
  readonly requestsInFlight?: number
  /**
   * Flush the blob and its directory entries before `put` resolves, if the server can. Off is faster, but loses the last
   * writes when the server loses power.
   *
   * @default true
   */
  readonly fsync?: boolean
}

/** The checked options, with their defaults. */
export type Settings = SftpBackendOptions &
  Required<Pick<SftpBackendOptions, 'port' | 'connections' | 'requestsInFlight' | 'fsync'>>

const AT: ErrorLocation = { backend: 'sftp', op: 'constructor' }
const FINGERPRINT = /^SHA256:[A-Za-z0-9+/]{43}=?$/
const ONE_FINGERPRINT = { type: 'string', pattern: FINGERPRINT.source }

const TEXT: Check = { ...is.text, holds: isText }
const SECRET: Check = {
  expected: 'a string or a function that gives one',
  holds: (value) => isText(value) || typeof value === 'function',
  schema: is.text.schema,
}

export const OPTIONS = {
  host: needed({ ...TEXT, doc: 'Name or address of the server.' }),
  port: { ...is.whole(1, 65_535), default: 22, doc: 'Where the server listens.' },
  username: needed({ ...TEXT, doc: 'The user to log in as.' }),
  password: { ...SECRET, doc: 'Secret. One of `password`, `privateKey` and `agent` is needed.' },
  privateKey: { ...SECRET, doc: 'Secret. The text of the key, not its path: OpenSSH, PEM or PuTTY.' },
  passphrase: { ...SECRET, doc: 'Secret. The passphrase of an encrypted `privateKey`.' },
  agent: {
    ...TEXT,
    expected: 'the path of a socket',
    doc: 'Path of the socket of an ssh-agent: `process.env.SSH_AUTH_SOCK`.',
  },
  hostFingerprint: {
    expected: 'one or more of the form SHA256: and 43 characters, as ssh-keygen -lf prints it',
    holds: (value) =>
      [value].flat().length > 0 && [value].flat().every((each) => isText(each) && FINGERPRINT.test(each)),
    schema: { anyOf: [ONE_FINGERPRINT, { type: 'array', items: ONE_FINGERPRINT, minItems: 1 }] },
    doc: "The server's host key, or several while it is being changed. This or `knownHosts` is required.",
  },
  knownHosts: {
    ...TEXT,
    expected: 'the path of a file',
    doc: "Path of a file of host keys in OpenSSH's format. Hashed names, patterns and `@revoked` are supported; certificates are not.",
  },
  root: needed({
    ...TEXT,
    expected: 'the path of a directory',
    doc: 'The directory that holds the blobs, absolute or relative to where the server starts. `open` creates it, but not its parents.',
  }),
  connections: { ...is.whole(1, 4), default: 4, doc: 'Maximum number of open connections, 1 to 4.' },
  requestsInFlight: {
    ...is.whole(1, 64),
    default: 64,
    doc: 'Maximum reads or writes of one blob in flight, up to 2 MiB together, 1 to 64. Set 1 for a server that cannot handle more.',
  },
  fsync: {
    ...is.boolean,
    default: true,
    doc: 'Flush the blob and its directory entries before `put` resolves, if the server can. Off is faster, but loses the last writes when the server loses power.',
  },
} as const satisfies OptionRulesOf<SftpBackendOptions>

/** @throws {StorageError} INVALID_ARGUMENT, naming the option and never its value. */
export function parseOptions(options: unknown): Settings {
  const parsed = checkOptions(options as Settings, OPTIONS, AT)
  if (parsed.password === undefined && parsed.privateKey === undefined && parsed.agent === undefined)
    throw refusal('one of the options "password", "privateKey" and "agent" is required')
  if (parsed.hostFingerprint === undefined && parsed.knownHosts === undefined) throw refusal(howToPin(parsed))
  return parsed
}

function howToPin({ host, port }: Settings): string {
  const scan = `ssh-keyscan -t ed25519 -p ${port} ${host}`
  return (
    'without its host key anyone could pass for the server: set "hostFingerprint", which its administrator knows and ' +
    `${scan} | ssh-keygen -lf - shows, or "knownHosts"`
  )
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && !value.includes('\0')
}

function refusal(detail: string): StorageError {
  return new StorageError('INVALID_ARGUMENT', AT, { detail })
}
