import { createHmac, hash } from 'node:crypto'
import { constants, open } from 'node:fs/promises'
import { type ErrorLocation, StorageError } from '@stored/core/backend'
import type { ServerHostKeyAlgorithm } from 'ssh2'
import type { Settings } from './options.ts'

/** The host keys that a server may show. */
export interface HostKeys {
  accepts(key: Buffer): boolean
  /** Which key types to request from the server; `undefined` for any. */
  readonly algorithms?: ServerHostKeyAlgorithm[]
}

interface KnownKeys {
  readonly accepted: readonly Buffer[]
  readonly revoked: readonly Buffer[]
}

/** The largest file of host keys: some 40,000 of them. */
const MOST_FILE_BYTES = 4 << 20
/** OpenSSH ignores longer ones too. @see match_pattern_list() in its match.c */
const MOST_PATTERN_LENGTH = 1_023

/** RSA keys sign with newer algorithms than the one they are named after. @see RFC 8332 */
const RSA: readonly ServerHostKeyAlgorithm[] = ['rsa-sha2-512', 'rsa-sha2-256']
/** Those that are named after their keys. */
const KINDS: readonly ServerHostKeyAlgorithm[] = [
  'ssh-ed25519',
  'ecdsa-sha2-nistp256',
  'ecdsa-sha2-nistp384',
  'ecdsa-sha2-nistp521',
]

/** @throws {StorageError} MISCONFIGURED if a file of host keys cannot be read, or contains none for this server. */
export async function loadHostKeys(
  { host, port, hostFingerprint = [], knownHosts }: Pick<Settings, 'host' | 'port' | 'hostFingerprint' | 'knownHosts'>,
  at: ErrorLocation,
): Promise<HostKeys> {
  const fingerprints = [hostFingerprint].flat().map((each) => each.replace(/=$/, ''))
  if (knownHosts === undefined) return { accepts: (key) => fingerprints.includes(fingerprintOf(key)) }
  const { accepted, revoked } = knownKeysOf(await readKnownHosts(knownHosts, at), host, port)
  if (accepted.length === 0 && fingerprints.length === 0)
    throw new StorageError('MISCONFIGURED', at, { detail: `${knownHosts} has no key of ${nameOf(host, port)}` })
  const accepts = (key: Buffer) => {
    if (revoked.some((each) => each.equals(key))) return false
    return accepted.some((each) => each.equals(key)) || fingerprints.includes(fingerprintOf(key))
  }
  const algorithms = [...new Set(accepted.flatMap(algorithmsOf))]
  // The server has one key of each type and shows that of the first type requested.
  return fingerprints.length > 0 || algorithms.length === 0 ? { accepts } : { accepts, algorithms }
}

/** As `ssh-keygen -lf` prints it. */
export function fingerprintOf(key: Buffer): string {
  return `SHA256:${hash('sha256', key, 'base64').replace(/=+$/, '')}`
}

/**
 * @see sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT". Lines that name an authority are skipped: certificates are not
 *   supported.
 */
export function knownKeysOf(text: string, host: string, port: number): KnownKeys {
  const accepted: Buffer[] = []
  const revoked: Buffer[] = []
  for (const line of text.split('\n')) {
    const fields = line.trim().split(/[ \t]+/)
    const marker = fields[0]?.startsWith('@') ? fields.shift() : undefined
    const [patterns = '', , key = ''] = fields
    if (patterns.startsWith('#') || key === '' || !matches(patterns, nameOf(host, port))) continue
    if (marker === undefined) accepted.push(Buffer.from(key, 'base64'))
    else if (marker === '@revoked') revoked.push(Buffer.from(key, 'base64'))
  }
  return { accepted, revoked }
}

/** The name of a server in such a file. */
function nameOf(host: string, port: number): string {
  return port === 22 ? host : `[${host}]:${port}`
}

function matches(patterns: string, name: string): boolean {
  if (patterns.startsWith('|1|')) {
    const [, , salt = '', digest] = patterns.split('|')
    return createHmac('sha1', Buffer.from(salt, 'base64')).update(name).digest('base64') === digest
  }
  const each = patterns.toLowerCase().split(',')
  if (each.some(({ length }) => length > MOST_PATTERN_LENGTH)) return false
  const hits = each.filter((pattern) => fits(pattern.replace(/^!/, ''), name.toLowerCase()))
  return hits.length > 0 && !hits.some((pattern) => pattern.startsWith('!'))
}

/**
 * Whether a name matches a pattern with `*` and `?`. Backtracking to the last `*` is enough, whatever the earlier ones
 * matched, so it takes at most the product of both lengths in steps, where a regular expression may take forever.
 */
function fits(pattern: string, name: string): boolean {
  let [at, star, from] = [0, -1, 0]
  for (let i = 0; i < name.length; ) {
    if (pattern[at] === '*') {
      star = at++
      from = i
    } else if (pattern[at] === '?' || pattern[at] === name[i]) {
      at++
      i++
    } else if (star >= 0) {
      at = star + 1
      i = ++from
    } else return false
  }
  return /^\**$/.test(pattern.slice(at))
}

/** Nothing for an invalid key, or a type that ssh2 does not know: the server could not show it. */
function algorithmsOf(key: Buffer): readonly ServerHostKeyAlgorithm[] {
  const kind = key.length < 4 ? '' : key.toString('latin1', 4, 4 + key.readUInt32BE(0))
  return kind === 'ssh-rsa' ? RSA : KINDS.filter((known) => known === kind)
}

async function readKnownHosts(path: string, at: ErrorLocation): Promise<string> {
  const text = await readUpTo(path, MOST_FILE_BYTES + 1).catch((cause: unknown) => {
    throw new StorageError('MISCONFIGURED', at, { cause, detail: `the host keys in ${path} cannot be read` })
  })
  if (text.length <= MOST_FILE_BYTES) return text.toString()
  const detail = `${path} is not a file of host keys: it has more than ${MOST_FILE_BYTES} bytes`
  throw new StorageError('MISCONFIGURED', at, { detail })
}

async function readUpTo(path: string, most: number): Promise<Buffer> {
  // Without O_NONBLOCK, opening a pipe waits for a writer.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const chunks: Buffer[] = []
    for await (const chunk of file.createReadStream({ end: most - 1, autoClose: false })) chunks.push(chunk)
    return Buffer.concat(chunks)
  } finally {
    await file.close()
  }
}
