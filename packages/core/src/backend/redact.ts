import { inspect } from 'node:util'

/** What stands for a secret. */
const STRUCK = '***'
/** Shorter ones are found in words that mean something else. */
const LEAST_LENGTH = 6
/** Of an owner: those whose last calls may still be under way. */
const MOST_GENERATIONS = 3
/** Of a detail or a message, in characters: a server may say anything. */
const MOST_LENGTH = 2_000
/** How far into a cause its own fields are looked at. */
const DEPTH = 6

/** What need not be known beforehand: signatures and tokens in the query of a URL, or in a header, which may be escaped itself. */
const SIGNED =
  /((?:signature|security-token)["']?\s*(?:[=:]|%3[ad])\s*["']?|authorization["']?\s*[=:]\s*["']?(?:basic|bearer)\s+)[^\s"'&,;<>]+/gi

/** What finds the latest secrets of one owner in a text, in one pass for all their forms: a private key has hundreds. */
type Held = RegExp[]

const byOwner = new WeakMap<object, Held>()
/** Weak: what nobody can use any more is forgotten with its owner. */
const everybody = new Set<WeakRef<Held>>()

/**
 * Has every StorageError and every log event leave out `secret`, as it is, escaped or in Base64, for as long as `owner` is there: a
 * service, a proxy or a library may say again what it was told. A Credential does so with what it gives out.
 *
 * @param secret A text, or an object that holds some.
 */
export function keepSecret(owner: object, secret: unknown): void {
  const forms = [...new Set(textsOf(secret).flatMap(formsOf))]
  if (forms.length === 0) return
  // The longest first: one may be the beginning of another.
  const found = new RegExp(
    forms
      .sort((a, b) => b.length - a.length)
      .map(literal)
      .join('|'),
    'g',
  )
  const held = heldBy(owner)
  // The same again is no other generation.
  if (held[0]?.source !== found.source) held.unshift(found)
  held.length = Math.min(held.length, MOST_GENERATIONS)
}

function heldBy(owner: object): Held {
  const known = byOwner.get(owner)
  if (known !== undefined) return known
  const held: Held = []
  byOwner.set(owner, held)
  everybody.add(new WeakRef(held))
  return held
}

function literal(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')
}

/** `text` without what is secret, and no longer than anyone reads. */
export function redact(text: string): string {
  const open = struck(text)
  return open.length > MOST_LENGTH ? `${open.slice(0, MOST_LENGTH)}…` : open
}

/** `cause` itself, where nothing that is shown of it is secret or too long; else a copy that holds less. */
export function redactCause(cause: unknown): unknown {
  if (cause === undefined || cause === null) return cause
  try {
    const { message } = cause as Error
    const isLong = typeof message === 'string' && message.length > MOST_LENGTH
    return isLong || (everybody.size > 0 && isTold(cause)) ? copied(cause, DEPTH) : cause
  } catch {
    // Anything can be thrown. No error of ours is lost for it.
    return new Error('a cause that cannot be shown')
  }
}

function struck(text: string): string {
  let open = text
  for (const ref of everybody) {
    const held = ref.deref()
    if (held === undefined) everybody.delete(ref)
    else for (const found of held) open = open.replace(found, STRUCK)
  }
  // Afterwards: it would take a part of what is known as a whole.
  return open.replace(SIGNED, `$1${STRUCK}`)
}

function isTold(cause: unknown): boolean {
  try {
    const shown = typeof cause === 'string' ? cause : inspect(cause, { depth: DEPTH, maxStringLength: null })
    return struck(shown) !== shown
  } catch {
    // What cannot be shown may hold anything.
    return true
  }
}

/** Of the same class, with those of its fields that are texts, numbers, errors or plain. */
function copied(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return redact(value)
  if (typeof value === 'function') return undefined
  if (typeof value !== 'object' || value === null) return value
  if (depth === 0) return undefined
  if (value instanceof Error)
    return Object.hasOwn(value, 'message') ? filled(value, depth) : new Error(redact(String(value)))
  if (Array.isArray(value)) return value.map((item) => copied(item, depth - 1))
  return Object.getPrototypeOf(value) === Object.prototype ? filled(value, depth) : undefined
}

function filled(value: object, depth: number): object {
  const copy: object = Object.create(Object.getPrototypeOf(value))
  // Message, stack and cause of an error are not enumerated, nor is what marks a StorageError.
  for (const name of Reflect.ownKeys(value)) {
    const { enumerable = false, value: field } = Object.getOwnPropertyDescriptor(value, name) ?? {}
    const kept = copied(name === 'stack' ? (value as Error).stack : field, depth - 1)
    if (kept !== undefined)
      Object.defineProperty(copy, name, { value: kept, enumerable, writable: true, configurable: true })
  }
  return copy
}

function textsOf(secret: unknown): string[] {
  if (typeof secret === 'string') return secret.includes('\n') ? secret.split('\n').filter(isNoFrame) : [secret]
  if (typeof secret !== 'object' || secret === null || ArrayBuffer.isView(secret)) return []
  return Object.values(secret).flatMap(textsOf)
}

/** Of a private key, the lines that say that it is one are no secret. */
function isNoFrame(line: string): boolean {
  return !line.startsWith('-----')
}

/** How a text may be said again. */
function formsOf(secret: string): string[] {
  const text = secret.trim()
  if (text.length < LEAST_LENGTH) return []
  const escaped = encodeURIComponent(text)
  const inXml = text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
  return [
    text,
    escaped,
    escaped.replace(/%../g, (each) => each.toLowerCase()),
    JSON.stringify(text).slice(1, -1),
    inXml,
    inXml.replaceAll('"', '&quot;').replaceAll("'", '&apos;'),
    ...[0, 1, 2].flatMap((before) => inBase64(text, before)),
  ]
}

/** What is in the Base64 of any text that holds this one, after so many bytes, or three more of them. */
function inBase64(text: string, before: number): string[] {
  const bytes = Buffer.concat([Buffer.alloc(before), Buffer.from(text)])
  const whole = bytes.subarray(0, bytes.length - (bytes.length % 3))
  const digits = whole.toString('base64').slice(Math.ceil((before * 8) / 6))
  if (digits.length < LEAST_LENGTH) return []
  return [digits, digits.replaceAll('+', '-').replaceAll('/', '_')]
}
