import type { StorageError } from '../../backend/error.ts'

/** How deep it may be nested: what holds itself has no end. */
const MAX_DEPTH = 100

/**
 * A copy of JSON values: what the caller changes later changes nothing here. Each value is read once: a getter, or a Proxy, may
 * give another one when it is asked again.
 *
 * @param refuse Makes the error for what JSON cannot hold, or what throws when it is read.
 */
export function jsonCopy(
  metadata: object,
  refuse: (detail: string, cause?: unknown) => StorageError,
  what = 'metadata',
): Record<string, unknown> {
  let copy: unknown
  try {
    copy = copyOf(metadata, 0)
  } catch (cause) {
    throw refuse(`${what} cannot be read`, cause)
  }
  if (copy === undefined) throw refuse(`${what} must be JSON values: no dates, functions, undefined or NaN`)
  return copy as Record<string, unknown>
}

/** @returns `undefined` for what is no JSON value. */
function copyOf(value: unknown, depth: number): unknown {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined
  if (typeof value !== 'object' || depth > MAX_DEPTH) return undefined
  if (Array.isArray(value)) return copyOfList(value, depth)
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return undefined
  const entries: [string, unknown][] = []
  for (const name of Object.keys(value)) {
    const copy = copyOf((value as Record<string, unknown>)[name], depth + 1)
    if (copy === undefined) return undefined
    entries.push([name, copy])
  }
  // Not by assignment: a field may be called `__proto__`.
  return Object.fromEntries(entries)
}

function copyOfList(list: readonly unknown[], depth: number): unknown[] | undefined {
  const copies: unknown[] = []
  for (let i = 0; i < list.length; i++) {
    const copy = copyOf(list[i], depth + 1)
    if (copy === undefined) return undefined
    copies.push(copy)
  }
  return copies
}
