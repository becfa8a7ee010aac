import type {
  Claimed,
  Index,
  Ledger,
  Location,
  LocationFacts,
  Logged,
  Opened,
  Queue,
  Staging,
  SyncOutcome,
  SyncTarget,
} from '@stored/core'
import { retryOnConflict } from '@stored/core'
import { StorageError, toStorageError } from '@stored/core/backend'
import { openCopy, type Source } from './copies.ts'
import { isTaken, removeCopy, writeCopy } from './place.ts'
import { Resumption } from './resumption.ts'

export interface Services {
  readonly ledger: Ledger
  readonly index: Index
  readonly queue: Queue
  readonly staging: Staging
  target(backend: string): SyncTarget | undefined
}

/** What a job that ended leaves at its place, given what the place is now. */
type Afterwards = (now: Location) => LocationFacts | null

/**
 * Does one job: moves the bytes and settles job and place in one commit.
 *
 * @param moved Called when the backend is done with it.
 * @returns The event of the commit, or `null` when nobody wanted the copy any more.
 */
export async function runJob(
  services: Services,
  target: SyncTarget,
  job: Claimed,
  { signal, moved }: { signal: AbortSignal; moved: () => void },
): Promise<Logged<SyncOutcome> | null> {
  const location = await services.index.location(job)
  if (!location || !isCurrent(job, location) || location.state === 'synced') {
    await services.ledger.transact((tx) => services.queue.complete(tx, job))
    return null
  }
  // What the backend can do is certain only once it is open.
  await target.backend.open({ signal })
  const afterwards =
    job.op === 'put'
      ? await write(services, target, job, location, signal)
      : await remove(target, job, location, signal)
  moved()
  return settle(services, job, afterwards)
}

/**
 * Ends a job that nobody wants any more, or that a newer one will do again: what it failed with does not matter.
 *
 * @returns Whether it was one.
 */
export async function dropIfUnwanted({ index, ledger, queue }: Services, job: Claimed): Promise<boolean> {
  return retryOnConflict(async () => {
    const now = await index.location(job)
    // Whatever queues a newer job also changes the row of the place: the guard covers both.
    if (now && isCurrent(job, now) && !(await queue.isOvertaken(job))) return false
    await ledger.transact((tx) => {
      index.expect(tx, { place: job }, now?.rev ?? null)
      queue.complete(tx, job)
    })
    return true
  })
}

/**
 * Keeps the job with its error, and says so at its place.
 *
 * @returns The event of the commit, or `null` when nobody wanted the job any more: it is gone.
 */
export async function parkJob(
  services: Services,
  job: Claimed,
  error: StorageError,
  o: { retrialAfterMs?: number } = {},
): Promise<Logged<SyncOutcome> | null> {
  const { index, queue, ledger } = services
  return retryOnConflict(async () => {
    const now = await index.location(job)
    const isWanted = now !== null && isCurrent(job, now) && !(await queue.isOvertaken(job))
    const event: SyncOutcome = { type: 'sync:error', ...progress(job), op: job.op, error: failureOf(error) }
    const { seq } = await ledger.transact((tx) => {
      index.expect(tx, { place: job }, now?.rev ?? null)
      if (!isWanted) return queue.complete(tx, job)
      queue.park(tx, job, error, o)
      index.locate(tx, { ...factsOf(now), ...failed(job, error) })
      ledger.record(tx, event)
    })
    return isWanted ? { ...event, seq } : null
  })
}

/** Lets the place of a job that was parked be owed again: it is tried once more. */
export async function oweAgain({ index, ledger }: Services, job: Claimed): Promise<void> {
  await retryOnConflict(async () => {
    const now = await index.location(job)
    if (!now || !isCurrent(job, now)) return
    const { error: _, ...facts } = factsOf(now)
    await ledger.transact((tx) => {
      index.expect(tx, { place: job }, now.rev)
      index.locate(tx, job.op === 'delete' ? facts : { ...facts, state: 'pending' })
    })
  })
}

/** What all events of a job tell. */
export function progress({ id, backend, key }: Claimed) {
  return { checksum: id, backend, key, time: Date.now() }
}

async function write(
  services: Services,
  target: SyncTarget,
  job: Claimed,
  location: Location,
  signal: AbortSignal,
): Promise<Afterwards> {
  const resumption = new Resumption(services.queue, job)
  const stat = await fromSources(services, job, { resumption, signal }, (open) =>
    writeCopy(open, target, job, location, { resumption, signal }),
  )
  const holds = { id: job.id, ...(stat.etag !== undefined && { etag: stat.etag }) }
  return (now) => {
    const { tried: _, ...facts } = factsOf(now)
    // Bound anew meanwhile: what lies there is ours all the same, and the job behind this one has to know.
    if (!isCurrent(job, now)) return { ...facts, holds }
    const { error: __, ...rest } = facts
    return { ...rest, state: 'synced', holds, verified: Date.now() }
  }
}

/**
 * Runs `write`, again with the next source of the bytes when it was the source that failed. When there is no other, or when the
 * ledger failed, the error does not name the target.
 */
async function fromSources<T>(
  services: Services,
  job: Claimed,
  { resumption, signal }: { resumption: Resumption; signal: AbortSignal },
  write: (open: () => Promise<Opened>) => Promise<T>,
): Promise<T> {
  const failed = new Map<string, unknown>()
  for (;;) {
    const attempt = new Attempt(() => openCopy(services, job, signal, failed))
    try {
      return await write(attempt.open)
    } catch (error) {
      if (resumption.failure) throw blaming(job, resumption.failure.cause, 'its checkpoint cannot be kept')
      const failure = attempt.failure ?? (isDamage(error) ? { cause: error } : undefined)
      if (!failure) throw error
      const cause = (await attempt.source?.explain?.(failure.cause)) ?? failure.cause
      if (attempt.source === undefined || signal.aborted) throw blaming(job, cause)
      failed.set(attempt.source.name, cause)
      // What arrived came from a source that is not to be trusted.
      resumption.forget()
    }
  }
}

/** Notes which source was opened last, and what it failed with. */
class Attempt {
  readonly #open: () => Promise<Source>
  source: Source | undefined
  failure: { readonly cause: unknown } | undefined

  constructor(open: () => Promise<Source>) {
    this.#open = open
  }

  readonly open = async (): Promise<Opened> => {
    this.source = undefined
    this.failure = undefined
    const opened = await this.#open().catch(this.#note)
    this.source = opened
    const dispose = () => opened[Symbol.asyncDispose]()
    return { size: opened.size, body: watched(opened.body, this.#note), [Symbol.asyncDispose]: dispose }
  }

  readonly #note = (cause: unknown): never => {
    this.failure = { cause }
    throw cause
  }
}

/** Whether the bytes that were written were found to be wrong, before they were stored. */
function isDamage(error: unknown): boolean {
  if (!StorageError.is(error) || error.ambiguous) return false
  return error.code === 'CHECKSUM_MISMATCH' || error.code === 'SIZE_MISMATCH'
}

function blaming({ backend, op, key }: Claimed, cause: unknown, why = 'its bytes cannot be read'): StorageError {
  const { code, detail = why } = toStorageError(cause, { backend, op, key })
  return new StorageError(code, { op, key }, { cause, detail })
}

async function remove(
  { backend }: SyncTarget,
  job: Claimed,
  location: Location,
  signal: AbortSignal,
): Promise<Afterwards> {
  await removeCopy(backend, job, location, signal)
  return (now) => {
    if (isCurrent(job, now)) return null
    // Wanted again meanwhile: the job behind this one has to know that nothing lies there now.
    const { holds: _, tried: __, ...rest } = factsOf(now)
    return rest
  }
}

/** Completes `job` with what became of its place; drops staged bytes that nothing owes any more. */
async function settle(
  { index, ledger, queue, staging }: Services,
  job: Claimed,
  afterwards: Afterwards,
): Promise<Logged<SyncOutcome> | null> {
  return retryOnConflict(async () => {
    const others = { id: job.id, standing: 'owing', except: [{ backend: job.backend, key: job.key }] } as const
    const [now, isOwed] = await Promise.all([index.location(job), index.hasPlace(others)])
    const isDone = now !== null && isCurrent(job, now)
    const event: SyncOutcome = { type: 'sync:complete', ...progress(job), op: job.op }
    const { seq } = await ledger.transact((tx) => {
      index.expect(tx, { place: job }, now?.rev ?? null)
      index.expectPlace(tx, others, isOwed)
      queue.complete(tx, job)
      const row = now && afterwards(now)
      if (row) index.locate(tx, row)
      else if (now) index.unlocate(tx, job)
      if (job.op === 'put' && !isOwed) staging.release(tx, job.id)
      else if (job.op === 'put' && isDone) staging.markReleasable(tx, job.id)
      if (isDone) ledger.record(tx, event)
    })
    return isDone ? { ...event, seq } : null
  })
}

/** Whether the place still wants what the job brings. */
function isCurrent(job: Claimed, { id, state }: Location): boolean {
  return id === job.id && (job.op === 'delete') === (state === 'deleting')
}

function factsOf({ rev: _, ...facts }: Location): LocationFacts {
  return facts
}

export function failureOf({ code, message }: StorageError): { code: StorageError['code']; message: string } {
  return { code, message }
}

function failed(job: Claimed, error: StorageError): Pick<LocationFacts, 'state' | 'error'> {
  const failure = failureOf(error)
  if (job.op === 'delete') return { state: 'deleting', error: failure }
  return { state: isTaken(error) ? 'conflict' : 'failed', error: failure }
}

/** The same items; `onError` is told what they fail with, and throws. */
async function* watched<T>(items: AsyncIterable<T>, onError: (error: unknown) => never): AsyncGenerator<T, void, void> {
  try {
    yield* items
  } catch (error) {
    onError(error)
  }
}
