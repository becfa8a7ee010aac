import { createHmac, hash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { type ErrorLocation, StorageError } from '@stored/core/backend'
import type { ServerHostKeyAlgorithm } from 'ssh2'
import type { SftpBackendOptions } from './options.ts'

/** The host keys that a server may show. */
export interface HostKeys {
  accepts(key: Buffer): boolean
  /** Which kinds of keys to ask the server for; `undefined` for any. */
  readonly algorithms?: ServerHostKeyAlgorithm[]
}

interface KnownKeys {
  readonly accepted: readonly Buffer[]
  readonly revoked: readonly Buffer[]
}

/** RSA keys sign in newer ways than the one they are called after. @see RFC 8332 */
const RSA: readonly ServerHostKeyAlgorithm[] = ['rsa-sha2-512', 'rsa-sha2-256']

/** @throws {StorageError} MISCONFIGURED when a file of host keys cannot be read, or knows none of this server. */
export async function loadHostKeys(
  { host, port = 22, hostFingerprint = [], knownHosts }: SftpBackendOptions,
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
  // The server has one key of each kind and shows that of the first kind it is asked for.
  return fingerprints.length > 0 ? { accepts } : { accepts, algorithms: [...new Set(accepted.flatMap(algorithmsOf))] }
}

/** As `ssh-keygen -lf` prints it. */
export function fingerprintOf(key: Buffer): string {
  return `SHA256:${hash('sha256', key, 'base64').replace(/=+$/, '')}`
}

/** @see sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT". Lines that name an authority are left out: no certificates here. */
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

/** How such a file calls a server. */
function nameOf(host: string, port: number): string {
  return port === 22 ? host : `[${host}]:${port}`
}

function matches(patterns: string, name: string): boolean {
  if (patterns.startsWith('|1|')) {
    const [, , salt = '', digest] = patterns.split('|')
    return createHmac('sha1', Buffer.from(salt, 'base64')).update(name).digest('base64') === digest
  }
  const hits = patterns.split(',').filter((pattern) => toExpression(pattern.replace(/^!/, '')).test(name))
  return hits.length > 0 && !hits.some((pattern) => pattern.startsWith('!'))
}

function toExpression(pattern: string): RegExp {
  const escaped = pattern.replace(/[\\^$+.()|[\]{}]/g, '\\$&')
  return new RegExp(`^${escaped.replaceAll('*', '.*').replaceAll('?', '.')}$`, 'i')
}

function algorithmsOf(key: Buffer): readonly ServerHostKeyAlgorithm[] {
  const kind = key.toString('latin1', 4, 4 + key.readUInt32BE(0)) as ServerHostKeyAlgorithm
  return kind === 'ssh-rsa' ? RSA : [kind]
}

async function readKnownHosts(path: string, at: ErrorLocation): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw new StorageError('MISCONFIGURED', at, { cause, detail: `the host keys in ${path} cannot be read` })
  }
}
