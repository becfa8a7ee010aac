import path from 'node:path'
import { describeType } from '@stored/core/backend'
import { codeOf, configError, isDenial, reasonOf } from './error.ts'
import { readShort } from './short-file.ts'
import { type Branch, childOption, type Entry, type Fault, isBranch, type Leaf, toValue } from './tree.ts'

export const MASK = '•••'

const SECRET_NAME = /secret|passw|passphrase|pass$|pwd$|auth$|token|credential|connection_?string|signature|key$/i
const SECRET_NAME_SAS = /^sas|Sas/
/** A URL with a password, a connection string, a private key. */
const SECRET_TEXT = /\/\/[^/\s@]*:[^/\s@]+@|(?:key|secret|password|pwd|token|sig|signature)=|-----BEGIN /i

/** Not every driver lists its secrets: hiding one too many is better than showing one. */
export function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name) || SECRET_NAME_SAS.test(name)
}

export function isSecretText(value: unknown): boolean {
  return typeof value === 'string' && SECRET_TEXT.test(value)
}

/** `{ "env": "NAME" }` or `{ "file": "path" }`. */
type Reference = readonly ['env' | 'file', Leaf]

/** Variables at the time a reference is followed. */
export type Env = Readonly<Record<string, string | undefined>>

/**
 * Replaces all references of a backend with what they refer to.
 *
 * @param secrets Options that the driver reads on demand: references become functions that read the secret again.
 */
export async function resolveSecrets(
  backend: Branch,
  option: string,
  env: Env,
  secrets: readonly string[],
): Promise<Fault[]> {
  const faults: Fault[] = []
  for (const [name, child] of backend.children) {
    if (!isBranch(child)) continue
    const readAnew = () => follow(child, childOption(option, name, false), env)
    const followed = await readAnew()
    faults.push(...followed.faults)
    const isAsked = secrets.includes(name) && refers(child)
    backend.children.set(name, isAsked ? asked(followed.entry, readAnew) : followed.entry)
  }
  return faults
}

/** An entry without references, and the references that lead nowhere. */
interface Followed {
  readonly entry: Entry
  readonly faults: readonly Fault[]
}

async function follow(entry: Entry, option: string, env: Env): Promise<Followed> {
  if (!isBranch(entry)) return { entry, faults: [] }
  const references = referencesIn(entry)
  if (references !== null) {
    const found = await resolve(entry, references, env)
    return 'text' in found
      ? { entry, faults: [{ ...found, where: entry.where, text: `${option} ${found.text}` }] }
      : { entry: found, faults: [] }
  }
  const faults: Fault[] = []
  const children = new Map<string, Entry>()
  for (const [name, child] of entry.children) {
    const followed = await follow(child, childOption(option, name, entry.isList), env)
    faults.push(...followed.faults)
    children.set(name, followed.entry)
  }
  return { entry: { ...entry, children }, faults }
}

function refers(entry: Entry): boolean {
  return isBranch(entry) && (referencesIn(entry) !== null || [...entry.children.values()].some(refers))
}

/** Replaces `entry` with a function that reads it again on each call. */
function asked({ from, base, where }: Entry, readAnew: () => Promise<Followed>): Leaf {
  const value = async (): Promise<unknown> => {
    const { entry, faults } = await readAnew()
    if (faults.length > 0) throw configError(codeOf(faults), faults)
    return toValue(entry)
  }
  return { from, base, where, secret: true, value }
}

function referencesIn({ children, isList }: Branch): Reference[] | null {
  const references = [...children].filter(
    (each): each is [...Reference] => (each[0] === 'env' || each[0] === 'file') && !isBranch(each[1]),
  )
  return isList || references.length === 0 || references.length < children.size ? null : references
}

/** @returns What it refers to, or what is wrong. */
async function resolve(
  branch: Branch,
  [first, second]: readonly Reference[],
  env: Env,
): Promise<Leaf | Omit<Fault, 'where'>> {
  const [kind, { value, base }] = first as Reference
  if (second) return { text: 'names either "env" or "file", not both' }
  if (typeof value !== 'string' || value === '')
    return { text: `names ${NOUNS[kind]} by a string, not ${found(value)}` }
  const secret = { from: branch.from, base, where: `${branch.where} (${kind} ${value})`, secret: true } as const
  if (kind === 'env')
    return env[value] ? { ...secret, value: env[value] } : { text: `names the variable ${value}, which is not set` }
  try {
    // Editors end the last line; no secret ends with a line break.
    const text = (await readShort(path.resolve(base, value))).replace(/\r?\n$/, '')
    return text === '' ? { text: `names the file ${value}, which is empty` } : { ...secret, value: text }
  } catch (error) {
    const text = `names the file ${value}, which cannot be read: ${reasonOf(error)}`
    return { text, isDenial: isDenial(error) }
  }
}

const NOUNS = { env: 'a variable', file: 'a file' } as const

function found(value: unknown): string {
  return value === '' ? 'an empty one' : describeType(value)
}

/** Whether a backend's secret is written in the file itself. */
export function hasInlineSecret(entry: Entry, name = ''): boolean {
  if (!isBranch(entry))
    return isInFile(entry) && (entry.secret === true || isSecretName(name) || isSecretText(entry.value))
  if (referencesIn(entry) !== null) return false
  return [...entry.children].some(([child, each]) => hasInlineSecret(each, isSecretName(name) ? name : child))
}

function isInFile({ from, value }: Leaf): boolean {
  return from === 'file' && typeof value === 'string'
}
