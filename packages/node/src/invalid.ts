import { describeType, StorageError } from '@stored/core/backend'

/** @throws {StorageError} INVALID_ARGUMENT unless `ok`: names the option and the type of its value, never the value. */
export function expectType(option: string, value: unknown, expected: string, ok: boolean): void {
  if (!ok) throw invalid(`${option} must be ${article(expected)} ${expected}, not ${describeType(value)}`)
}

export function invalid(detail: string, cause?: unknown): StorageError {
  return new StorageError('INVALID_ARGUMENT', { op: 'open' }, { detail, ...(cause !== undefined && { cause }) })
}

function article(noun: string): string {
  return /^[aeiou]/.test(noun) ? 'an' : 'a'
}
