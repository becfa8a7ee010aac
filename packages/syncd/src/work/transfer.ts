import type { Claimed, GuardedBackend, SyncTarget } from '@stored/core'
import { type Stat, StorageError, toStorageError } from '@stored/core/backend'
import { openCopy, type Source } from './copies.ts'
import { type Conditions, isTaken, type Task, wayTo } from './place.ts'
import type { Services } from './services.ts'

/** The result of a put, or whose fault its failure is. */
type Outcome =
  | { readonly ok: Stat }
  | { readonly source: unknown }
  | { readonly target: unknown }
  | { readonly ledger: unknown }

/** The input of one put. */
interface Put extends Task {
  readonly conditions: Conditions
  /** From the previous put, which this one resumes. */
  readonly checkpoint: string | undefined
  /** Rejects if it cannot be saved. */
  keep(checkpoint: string): Promise<void>
}

/**
 * Copies the bytes of a put job to its place, and never overwrites what is not ours. A failing source is replaced by
 * the next.
 *
 * @throws {StorageError} ALREADY_EXISTS, PRECONDITION_FAILED: something is there that StoreD did not write · errors of
 *   the target · the error of the last source, or of the ledger: such an error does not name the target.
 */
export async function transfer(services: Services, target: SyncTarget, task: Task): Promise<Stat> {
  const { job, signal } = task
  const failed = new Map<string, unknown>()
  let { checkpoint } = job
  const keep = async (text: string) => {
    await services.queue.keepCheckpoint(job, text)
    checkpoint = text
  }
  let taken: StorageError | undefined
  for (;;) {
    const way = await wayTo(target, task, taken)
    if ('stat' in way) return way.stat
    const source = await open(services, job, signal, failed)
    const outcome = await putFrom(source, target.backend, { ...task, ...way, checkpoint, keep })
    if ('ok' in outcome) return outcome.ok
    if ('ledger' in outcome) throw blaming(job, outcome.ledger, 'its checkpoint cannot be kept')
    if ('target' in outcome) {
      if (taken || !isTaken(outcome.target)) throw outcome.target
      taken = outcome.target
      continue
    }
    const cause = (await source.explain?.(outcome.source)) ?? outcome.source
    if (signal.aborted) throw blaming(job, cause)
    failed.set(source.name, cause)
    // What arrived came from an untrustworthy source, and the place may have changed while it was read.
    checkpoint = undefined
    taken = undefined
  }
}

async function open(...args: Parameters<typeof openCopy>): Promise<Source> {
  return openCopy(...args).catch((cause) => {
    throw blaming(args[1], cause)
  })
}

/** One put from one source. Only here it is decided whose fault a failure is. */
async function putFrom(
  source: Source,
  backend: GuardedBackend,
  { job, conditions, signal, checkpoint, keep }: Put,
): Promise<Outcome> {
  await using copy = source
  let fault: { source: unknown } | { ledger: unknown } | undefined
  const note = (found: NonNullable<typeof fault>, cause: unknown): never => {
    fault ??= found
    throw cause
  }
  const body = watched(copy.body, (cause) => note({ source: cause }, cause))
  const onCheckpoint = (text: string) => keep(text).catch((cause) => note({ ledger: cause }, cause))
  const resumed = backend.capabilities.resume ? { checkpoint, onCheckpoint } : {}
  try {
    // Through the guard, which hashes on the way: a staged file that went bad must not count as synced.
    const sha256 = job.id.slice('sha256:'.length)
    const told = { size: job.size, sha256, file: copy.file, ...resumed, ...conditions, signal }
    return { ok: await backend.put(job.key, body, told) }
  } catch (error) {
    return fault ?? (isDamage(error) ? { source: error } : { target: error })
  }
}

/** Whether the written bytes were found to be wrong before they were stored. */
function isDamage(error: unknown): boolean {
  if (!StorageError.is(error) || error.ambiguous) return false
  return error.code === 'CHECKSUM_MISMATCH' || error.code === 'SIZE_MISMATCH'
}

/** An error that is not the target's fault does not name it. */
function blaming({ backend, op, key }: Claimed, cause: unknown, why = 'its bytes cannot be read'): StorageError {
  const { code, detail = why } = toStorageError(cause, { backend, op, key })
  return new StorageError(code, { op, key }, { cause, detail })
}

/** The same items; calls `onError` with their error, which throws. */
async function* watched<T>(items: AsyncIterable<T>, onError: (error: unknown) => never): AsyncGenerator<T, void, void> {
  try {
    yield* items
  } catch (error) {
    onError(error)
  }
}
