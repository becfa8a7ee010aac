import { checkOptions, describeType, type ErrorLocation, type Secret, StorageError } from '@stored/core/backend'

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

type Name = keyof SftpBackendOptions
/** What an option is, in words, and whether a value is that. */
type Rule = readonly [expected: string, holds: (value: unknown) => boolean]

const AT: ErrorLocation = { backend: 'sftp', op: 'constructor' }
const FINGERPRINT = /^SHA256:[A-Za-z0-9+/]{43}=?$/

const TEXT: Rule = ['a text that is not empty', isText]
const SECRET: Rule = ['a text or a function that gives one', (value) => isText(value) || typeof value === 'function']

const RULES: Readonly<Record<Name, Rule>> = {
  host: TEXT,
  port: ['a whole number from 1 to 65,535', (value) => isWithin(value, 65_535)],
  username: TEXT,
  password: SECRET,
  privateKey: SECRET,
  passphrase: SECRET,
  agent: ['the path of a socket', isText],
  hostFingerprint: [
    'one or more of the form SHA256: and 43 characters, as ssh-keygen -lf prints it',
    (value) => [value].flat().length > 0 && [value].flat().every((each) => isText(each) && FINGERPRINT.test(each)),
  ],
  knownHosts: ['the path of a file', isText],
  root: ['the path of a directory', isText],
  connections: ['a whole number from 1 to 4', (value) => isWithin(value, 4)],
  requestsInFlight: ['a whole number from 1 to 64', (value) => isWithin(value, 64)],
  fsync: ['a boolean', (value) => typeof value === 'boolean'],
}

/** @throws {StorageError} INVALID_ARGUMENT, naming the option and never its value. */
export function parseOptions(options: unknown): SftpBackendOptions {
  checkOptions(options, Object.keys(RULES), AT)
  const given = options as Readonly<Record<string, unknown>>
  for (const [name, [expected, holds]] of Object.entries(RULES)) {
    const value = given[name]
    if (value === undefined && !['host', 'username', 'root'].includes(name)) continue
    if (!holds(value)) throw refusal(`option "${name}" is ${expected}, not ${describe(value)}`)
  }
  const parsed = given as unknown as SftpBackendOptions
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

function isWithin(value: unknown, most: number): boolean {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= most
}

function describe(value: unknown): string {
  return typeof value === 'number' ? String(value) : value === '' ? 'an empty one' : describeType(value)
}

function refusal(detail: string): StorageError {
  return new StorageError('INVALID_ARGUMENT', AT, { detail })
}
