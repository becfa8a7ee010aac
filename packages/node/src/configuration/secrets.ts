import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { describeType } from '@stored/core/backend'
import { reasonOf } from './error.ts'
import { type Branch, childOption, type Entry, type Fault, isBranch, type Leaf } from './tree.ts'

export const MASK = '•••'

const SECRET_NAME = /secret|passw|passphrase|pass$|pwd$|auth$|token|credential|connection_?string|signature|key$/i
const SECRET_NAME_SAS = /^sas|Sas/
/** A URL with a password, a connection string, a private key. */
const SECRET_TEXT = /\/\/[^/\s@]*:[^/\s@]+@|(?:key|secret|password|pwd|token|sig|signature)=|-----BEGIN /i

/** Drivers do not say which of their options are secrets: rather one too many is hidden than one shown. */
export function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name) || SECRET_NAME_SAS.test(name)
}

export function isSecretText(value: unknown): boolean {
  return typeof value === 'string' && SECRET_TEXT.test(value)
}

/** `{ "env": "NAME" }` or `{ "file": "path" }`. */
type Reference = readonly ['env' | 'file', Leaf]

/** Puts what they refer to in the place of all references of a backend. */
export async function resolveSecrets(
  branch: Branch,
  option: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Fault[]> {
  const faults: Fault[] = []
  for (const [name, child] of branch.children) {
    if (!isBranch(child)) continue
    const inner = childOption(option, name, branch.isList)
    const references = referencesIn(child)
    if (references === null) {
      faults.push(...(await resolveSecrets(child, inner, env)))
      continue
    }
    const found = await resolve(child, references, env)
    if (typeof found === 'string') faults.push({ where: child.where, text: `${inner} ${found}` })
    else branch.children.set(name, found)
  }
  return faults
}

function referencesIn({ children, isList }: Branch): Reference[] | null {
  const references = [...children].filter(
    (each): each is [...Reference] => (each[0] === 'env' || each[0] === 'file') && !isBranch(each[1]),
  )
  return isList || references.length === 0 || references.length < children.size ? null : references
}

/** @returns What is wrong, when it is a string. */
async function resolve(
  branch: Branch,
  [first, second]: readonly Reference[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<Entry | string> {
  const [kind, { value, base }] = first as Reference
  if (second) return 'names either "env" or "file", not both'
  if (typeof value !== 'string' || value === '') return `names ${NOUNS[kind]} by a string, not ${found(value)}`
  const secret = { from: branch.from, base, where: `${branch.where} (${kind} ${value})`, secret: true } as const
  if (kind === 'env')
    return env[value] ? { ...secret, value: env[value] } : `names the variable ${value}, which is not set`
  try {
    // An editor ends the last line; no secret ends with a line break.
    const text = (await readFile(path.resolve(base, value), 'utf8')).replace(/\r?\n$/, '')
    return text === '' ? `names the file ${value}, which is empty` : { ...secret, value: text }
  } catch (error) {
    return `names the file ${value}, which cannot be read: ${reasonOf(error)}`
  }
}

const NOUNS = { env: 'a variable', file: 'a file' } as const

function found(value: unknown): string {
  return value === '' ? 'an empty one' : describeType(value)
}

/** Whether a secret of a backend is written out in the file itself. */
export function hasInlineSecret(entry: Entry, name = ''): boolean {
  if (!isBranch(entry))
    return entry.from === 'file' && typeof entry.value === 'string' && (isSecretName(name) || isSecretText(entry.value))
  if (referencesIn(entry) !== null) return false
  return [...entry.children].some(([child, each]) => hasInlineSecret(each, isSecretName(name) ? name : child))
}
