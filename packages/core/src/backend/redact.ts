import { inspect } from 'node:util'

/** The replacement for a secret. */
const STRUCK = '***'
/** Shorter secrets also occur inside ordinary words. */
const LEAST_LENGTH = 6
/** Per owner: earlier secrets whose last calls may still be in flight. */
const MOST_GENERATIONS = 3
/** The longest detail or message, in characters: a server may say anything. */
const MOST_LENGTH = 2_000
/** How deep the fields of a cause are examined. */
const DEPTH = 6

/**
 * Secrets that need not be registered: signatures and tokens in the query of a URL or in a header, which may itself be
 * escaped.
 */
const SIGNED =
  /((?:signature|security-token)["']?\s*(?:[=:]|%3[ad])\s*["']?|authorization["']?\s*[=:]\s*["']?(?:basic|bearer)\s+)[^\s"'&,;<>]+/gi

/**
 * Patterns that find the latest secrets of one owner. Each matches all their forms in one pass: a private key has
 * hundreds.
 */
type Held = RegExp[]

const byOwner = new WeakMap<object, Held>()
/** Weak, so that secrets are forgotten with their owner. */
const everybody = new Set<WeakRef<Held>>()

/**
 * Makes every StorageError and log event leave out `secret`, whether plain, escaped or in Base64, for as long as
 * `owner` exists: a service, a proxy or a library may repeat what it was told. A Credential does this with what it
 * supplies.
 *
 * @param secret A text, or an object that contains texts.
 */
export function keepSecret(owner: object, secret: unknown): void {
  const forms = [...new Set(textsOf(secret).flatMap(formsOf))]
  if (forms.length === 0) return
  // The longest first: one may be a prefix of another.
  const found = new RegExp(
    forms
      .sort((a, b) => b.length - a.length)
      .map(literal)
      .join('|'),
    'g',
  )
  const held = heldBy(owner)
  // The same secret again is not another generation.
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

/** `text` without secrets, truncated. */
export function redact(text: string): string {
  const open = struck(text)
  return open.length > MOST_LENGTH ? `${open.slice(0, MOST_LENGTH)}…` : open
}

/** `cause` itself if nothing shown of it is secret or too long; otherwise a copy without those parts. */
export function redactCause(cause: unknown): unknown {
  if (cause === undefined || cause === null) return cause
  try {
    const { message } = cause as Error
    const isLong = typeof message === 'string' && message.length > MOST_LENGTH
    return isLong || (everybody.size > 0 && isTold(cause)) ? copied(cause, DEPTH) : cause
  } catch {
    // Anything can be thrown, and that must not lose our own error.
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
  // Last: it would match part of a known secret.
  return open.replace(SIGNED, `$1${STRUCK}`)
}

function isTold(cause: unknown): boolean {
  try {
    const shown = typeof cause === 'string' ? cause : inspect(cause, { depth: DEPTH, maxStringLength: null })
    return struck(shown) !== shown
  } catch {
    // Something that cannot be shown may contain anything.
    return true
  }
}

/** A copy of the same class, with the fields that are texts, numbers, errors or plain objects. */
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
  // The message, stack and cause of an error are not enumerable, nor is the brand of a StorageError.
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

/** The header and footer lines of a private key are not secret. */
function isNoFrame(line: string): boolean {
  return !line.startsWith('-----')
}

/** The forms in which a text may be repeated. */
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

/** The part that is in the Base64 of any text that contains this one after `before` bytes, modulo 3. */
function inBase64(text: string, before: number): string[] {
  const bytes = Buffer.concat([Buffer.alloc(before), Buffer.from(text)])
  const whole = bytes.subarray(0, bytes.length - (bytes.length % 3))
  const digits = whole.toString('base64').slice(Math.ceil((before * 8) / 6))
  if (digits.length < LEAST_LENGTH) return []
  return [digits, digits.replaceAll('+', '-').replaceAll('/', '_')]
}
