import type { StorageError } from '@stored/core/backend'

/** A failure of the command itself. */
export type FaultCode = 'USAGE' | 'NO_STORE' | 'LOCKED' | 'SKIPPED' | 'ABORTED'

export class Fault extends Error {
  static {
    Fault.prototype.name = 'Fault'
  }

  readonly code: FaultCode

  constructor(code: FaultCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** A fault for an invalid command line. */
export function usage(message: string): Fault {
  return new Fault('USAGE', message)
}

/** A description of anything thrown. */
export interface FaultDescription {
  readonly code: string
  readonly message: string
  /** The page about the code, if it is a StorageError. */
  readonly url?: string
}

export function describeFault(error: unknown): FaultDescription {
  if (!(error instanceof Error)) return { code: 'INTERNAL', message: String(error) }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : 'INTERNAL'
  const fromSystem = SYSTEM[code]
  return { code: fromSystem ?? code, message: error.message + hintFor(error), ...pageOf(error) }
}

/** An id as `ls -l` shortens it, any part of one that is as long, and what begins like an id. */
const LIKE_AN_ID = /^(?:[0-9a-f]{12,63}|sha256:(?![0-9a-f]{64}$).*)$/

/** What a name that does not exist probably meant. */
function hintFor(error: Error): string {
  const { code, at } = error as Partial<StorageError>
  const isMeant = code === 'NOT_FOUND' && at?.backend === undefined && LIKE_AN_ID.test(at?.key ?? '')
  return isMeant ? '; an id is "sha256:" and 64 digits 0–9, a–f: stored stat KEY shows all of them' : ''
}

function pageOf(error: Error): { url?: string } {
  const url = 'url' in error ? error.url : undefined
  // A module that cannot be loaded also has a `url`, of a file.
  return typeof url === 'string' && url.startsWith('https://') ? { url } : {}
}

/** Errors from Node.js about the command's own files: sources, targets, the configuration. */
const SYSTEM: Readonly<Record<string, string>> = {
  ENOENT: 'NOT_FOUND',
  ENOTDIR: 'NOT_FOUND',
  EEXIST: 'ALREADY_EXISTS',
  EACCES: 'PERMISSION_DENIED',
  EPERM: 'PERMISSION_DENIED',
  EROFS: 'PERMISSION_DENIED',
  ENOSPC: 'NO_SPACE',
  EDQUOT: 'NO_SPACE',
  ABORT_ERR: 'ABORTED',
}
