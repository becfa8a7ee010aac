import { type ErrorLocation, StorageError } from '../../backend/error.ts'
import { is, type RulesOf } from '../../backend/rules.ts'
import type { BlobFacts } from '../../model/blob.ts'
import type { DurableEvent, Logged } from '../../model/event.ts'
import type { BlobSource } from '../../source/source.ts'
import { transactWith } from '../also.ts'
import type { Configured } from '../backends/backends.ts'
import { MATCH, matchOf } from '../lookup/conditions.ts'
import { checkStoreKey, idKey, idOfKey, isAmongIds } from '../lookup/names.ts'
import type { Services } from '../services.ts'
import type { CommitOptions, PutOptions } from '../types.ts'
import { jsonCopy } from './json-copy.ts'
import { type PutOutcome, planPut, reserved } from './plan-put.ts'
import { RECEIVE_OPTIONS, receive } from './receive.ts'
import { ReceivedBytes } from './received.ts'

export const COMMIT_OPTIONS: RulesOf<CommitOptions> = {
  // What a key may be is told with INVALID_KEY.
  key: { expected: 'a key', holds: () => true },
  backends: is.names,
  metadata: is.object,
  replaceMetadata: is.boolean,
  mimeType: is.mimeType,
  ifAbsent: is.boolean,
  ifMatch: MATCH,
  also: is.callback,
  signal: is.signal,
}

export const PUT_OPTIONS: RulesOf<PutOptions> = { ...RECEIVE_OPTIONS, ...COMMIT_OPTIONS }

/** What a put came to. */
export interface PutDone extends PutOutcome {
  readonly key: string
  /** What the commit recorded, in order. */
  readonly events: readonly Logged<DurableEvent>[]
}

/** Receives the bytes of a source, then commits them. */
export async function put(
  services: Services,
  source: BlobSource,
  options: PutOptions,
  signal: AbortSignal,
): Promise<PutDone> {
  const at = { op: 'put', key: options.key }
  const asked = check(options, at)
  targetsOf(services, options, at)
  const checking = checkFree(services, options, at)
  if (checking) await checking
  await using received = await receive(services, source, options, signal, at)
  return await commitChecked(services, received, asked, at)
}

/** Commits bytes that were received before. */
export async function commit(services: Services, received: unknown, options: CommitOptions): Promise<PutDone> {
  const at = { op: 'commit', key: options.key }
  const bytes = ReceivedBytes.of(received, services, at)
  return commitChecked(services, bytes, check(options, at), at)
}

interface Asked {
  readonly options: CommitOptions
  /** A copy, as is what the key must match: what the caller changes later changes nothing here. */
  readonly metadata: Readonly<Record<string, unknown>>
}

async function commitChecked(
  services: Services,
  received: ReceivedBytes,
  { options, metadata }: Asked,
  at: ErrorLocation,
): Promise<PutDone> {
  const { id, digests: checksums, size, head, path } = received
  const facts: BlobFacts = { id, checksums, size }
  const mimeType = options.mimeType ?? services.mimeTypeOf(head, { key: options.key, path })
  const key = options.key ?? idKey(services.prefix, facts.id)
  const targets = targetsOf(services, options, at)
  const unknown = services.backends.known()
  if (unknown) await unknown
  return received.use(async (staged) => {
    const input = { op: at.op, key, facts, mimeType, metadata, staged, options, targets }
    const { value, events } = await transactWith(services, options.also, at, (tx, add) => {
      const outcome = planPut(services, tx, input)
      add()
      return outcome
    })
    // Bytes that were deleted are kept nowhere.
    if (value.forgotten) await services.cache?.drop(value.forgotten)
    return { ...value, key, events }
  }, at)
}

export function check(options: CommitOptions, at: ErrorLocation): Asked {
  const refuse = (detail: string, cause?: unknown) => new StorageError('INVALID_ARGUMENT', at, { cause, detail })
  if (options.key !== undefined) checkStoreKey(options.key, { op: at.op })
  if (options.ifAbsent && options.ifMatch !== undefined) throw refuse('ifAbsent and ifMatch exclude each other')
  const { ifMatch, metadata } = options
  return {
    options: ifMatch === undefined ? options : { ...options, ifMatch: matchOf(ifMatch) },
    metadata: metadata === undefined ? {} : jsonCopy(metadata, refuse),
  }
}

/**
 * Refuses, before the source is read, a key that no blob may have: those below `<prefix>/sha256/` are the blobs' own. A key that
 * is bound already may be put again, with the same bytes: it was adopted, or is older than the prefix.
 */
function checkFree(
  { index, ledger, prefix }: Services,
  { key, expect }: PutOptions,
  { op }: ErrorLocation,
): Promise<void> | null {
  if (key === undefined || !isAmongIds(prefix, key)) return null
  const owner = idOfKey(prefix, key)
  if (owner !== null && (expect?.checksum ?? owner) === owner) return null
  return ledger.look((view) => {
    if (index.binding(view, key) === null) throw reserved(key, prefix, op)
  })
}

/**
 * Where copies shall be. The put is refused early if there is nowhere, and asks again as it commits: a backend may have been
 * removed while the source was read, and by default what remains is enough.
 */
export function targetsOf(
  { backends, defaultBackends }: Services,
  { backends: names }: Pick<CommitOptions, 'backends'>,
  at: ErrorLocation,
): Configured[] {
  if (names !== undefined) {
    if (names.length > 0) return backends.select(names, at)
    throw new StorageError('INVALID_ARGUMENT', at, { detail: 'a blob needs at least one backend' })
  }
  const all = backends.all()
  const targets = defaultBackends === undefined ? all : all.filter(({ name }) => defaultBackends.includes(name))
  if (targets.length > 0) return targets
  const detail = all.length === 0 ? 'the store has no backend' : 'none of its default backends is left; name others'
  throw new StorageError('INVALID_ARGUMENT', at, { detail })
}
