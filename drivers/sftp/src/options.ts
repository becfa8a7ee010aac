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

/** Options of the driver `sftp`. */
export interface SftpBackendOptions {
  /** Name or address of the server. */
  readonly host: string
  /** @default 22 */
  readonly port?: number
  readonly username: string
  readonly password?: Secret<string>
  /** The text of a private key: OpenSSH, PEM or PuTTY. */
  readonly privateKey?: Secret<string>
  /** Of an encrypted `privateKey`. */
  readonly passphrase?: Secret<string>
  /** Path of the socket of an ssh-agent: `process.env.SSH_AUTH_SOCK`. */
  readonly agent?: string
  /** The server's host key, as `ssh-keygen -lf` prints it: `SHA256:…`. Several while it is being changed. */
  readonly hostFingerprint?: string | readonly string[]
  /** Path of a file of host keys as OpenSSH keeps it: `~/.ssh/known_hosts`, written out in full. Read with each connection. */
  readonly knownHosts?: string
  /** The directory that holds the blobs; relative to where the server starts. `open` makes it, but not its parents. */
  readonly root: string
  /** The most connections that are open at a time, 1 to 4. @default 4 */
  readonly connections?: number
  /** The most reads or writes of one blob that wait for their answers, 1 to 64. @default 64 */
  readonly requestsInFlight?: number
  /**
   * Flush the blob and its directory entries before `put` resolves, where the server can. Off is faster and loses the last writes
   * when the server loses power.
   *
   * @default true
   */
  readonly fsync?: boolean
}

const AT: ErrorLocation = { backend: 'sftp', op: 'constructor' }
const FINGERPRINT = /^SHA256:[A-Za-z0-9+/]{43}=?$/

const TEXT: Rule = { ...is.text, holds: isText }
const SECRET: Rule = {
  expected: 'a string or a function that gives one',
  holds: (value) => isText(value) || typeof value === 'function',
}

const OPTIONS: RulesOf<SftpBackendOptions> = {
  host: needed(TEXT),
  port: is.whole(1, 65_535),
  username: needed(TEXT),
  password: SECRET,
  privateKey: SECRET,
  passphrase: SECRET,
  agent: { expected: 'the path of a socket', holds: isText },
  hostFingerprint: {
    expected: 'one or more of the form SHA256: and 43 characters, as ssh-keygen -lf prints it',
    holds: (value) =>
      [value].flat().length > 0 && [value].flat().every((each) => isText(each) && FINGERPRINT.test(each)),
  },
  knownHosts: { expected: 'the path of a file', holds: isText },
  root: needed({ expected: 'the path of a directory', holds: isText }),
  connections: is.whole(1, 4),
  requestsInFlight: is.whole(1, 64),
  fsync: is.boolean,
}

/** @throws {StorageError} INVALID_ARGUMENT, naming the option and never its value. */
export function parseOptions(options: unknown): SftpBackendOptions {
  const parsed = checkOptions(options as SftpBackendOptions, OPTIONS, AT)
  if (parsed.password === undefined && parsed.privateKey === undefined && parsed.agent === undefined)
    throw refusal('one of the options "password", "privateKey" and "agent" is needed')
  if (parsed.hostFingerprint === undefined && parsed.knownHosts === undefined) throw refusal(howToPin(parsed))
  return parsed
}

function howToPin({ host, port = 22 }: SftpBackendOptions): string {
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
