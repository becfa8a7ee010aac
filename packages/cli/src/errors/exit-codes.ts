import type { StorageErrorCode } from '@stored/core/backend'

/** The exit codes of the command. Stable. */
export const EXIT = {
  ok: 0,
  general: 1,
  usage: 2,
  partial: 3,
  notFound: 4,
  temporary: 5,
  denied: 6,
  conflict: 7,
  integrity: 8,
  tooFew: 9,
  noStore: 10,
  locked: 11,
  interrupted: 130,
} as const

/** One of EXIT. */
export type ExitCode = (typeof EXIT)[keyof typeof EXIT]

/** The meaning of each exit code, for the reference. */
export const EXIT_HELP: Readonly<Record<keyof typeof EXIT, string>> = {
  ok: 'everything was done; `has`: yes',
  general: 'any other failure; `has`: no',
  usage: 'the command line or an argument is not valid',
  partial: 'part of it was done, and the rest was reported',
  notFound: 'no such key, id or file; `verify`, `rm -r`: nothing starts with the prefix',
  temporary: 'the same command may work later: a backend is away, or asks for a pause',
  denied: 'permissions or credentials are missing, or somebody else could have written the configuration',
  conflict: 'something else is there: a taken key, the only copy, a blob that StoreD did not write',
  integrity:
    'wrong bytes: a checksum or a size does not match, or the index is damaged; `doctor`: copies are damaged, missing or changed',
  tooFew: '`copies`, `doctor`: a blob has too few copies, and nothing makes the rest',
  noStore: 'there is no store here: `stored init`',
  locked: 'another process syncs this store already',
  interrupted: 'ended by SIGINT or SIGTERM; what was acknowledged is kept',
}

const BY_CODE: Readonly<Record<StorageErrorCode, ExitCode>> = {
  NOT_FOUND: EXIT.notFound,
  ALREADY_EXISTS: EXIT.conflict,
  PRECONDITION_FAILED: EXIT.conflict,
  CONFLICT: EXIT.conflict,
  KEY_CONFLICT: EXIT.conflict,
  SOURCE_CHANGED: EXIT.conflict,
  INVALID_KEY: EXIT.usage,
  INVALID_ARGUMENT: EXIT.usage,
  RANGE_NOT_SATISFIABLE: EXIT.usage,
  PERMISSION_DENIED: EXIT.denied,
  UNAUTHENTICATED: EXIT.denied,
  TIMEOUT: EXIT.temporary,
  RATE_LIMITED: EXIT.temporary,
  UNAVAILABLE: EXIT.temporary,
  STAGING_FULL: EXIT.temporary,
  CHECKSUM_MISMATCH: EXIT.integrity,
  SIZE_MISMATCH: EXIT.integrity,
  CORRUPT: EXIT.integrity,
  ABORTED: EXIT.interrupted,
  UNSUPPORTED: EXIT.general,
  NO_SPACE: EXIT.general,
  TOO_LARGE: EXIT.general,
  SOURCE_FAILED: EXIT.general,
  MISCONFIGURED: EXIT.general,
  CLOSED: EXIT.general,
  INCOMPATIBLE: EXIT.general,
  INTERNAL: EXIT.general,
}

/** The command's own error codes. */
const OWN: Readonly<Record<string, ExitCode>> = {
  USAGE: EXIT.usage,
  NO_STORE: EXIT.noStore,
  LOCKED: EXIT.locked,
  SKIPPED: EXIT.general,
}

/** The exit code for the code of an error. */
export function exitCodeOf(code: string): ExitCode {
  return (BY_CODE as Readonly<Record<string, ExitCode>>)[code] ?? OWN[code] ?? EXIT.general
}

/** The first failure decides the exit code. */
export function firstFailure(first: ExitCode, second: ExitCode): ExitCode {
  return first === EXIT.ok ? second : first
}
