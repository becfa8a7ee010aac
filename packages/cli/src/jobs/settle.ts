import { setTimeout } from 'node:timers/promises'
import type { BackendInfo, Job, StoreD } from '@stored/core'
import { EXIT, type ExitCode, exitCodeOf, firstFailure } from '../errors/exit-codes.ts'
import { recordedError } from '../errors/recorded-error.ts'
import { count } from '../output/format.ts'
import type { Context } from '../session/context.ts'

/** Changes that come close together are one reason to look. */
const BATCH_MS = 20
/** A breaker that opens, or a lease that is lost, is no event. */
const LOOK_MS = 1000
/** Jobs of a backend that are looked at. */
const LOOK = 1000
/** Looking at jobs takes at most this part of the time. */
const LOOKING_SHARE = 0.1
const TYPES = ['sync:start', 'sync:retry', 'sync:complete', 'sync:error'] as const

export interface Owed {
  /** Only jobs queued since, in milliseconds since the epoch, and before this is called. @default all, also later ones */
  readonly since?: number
  /** And jobs of these keys, which may have been queued before. */
  readonly keys?: readonly string[]
  readonly backend?: string | undefined
}

/**
 * Waits until these jobs have settled, whichever process syncs, apart from those of backends that are paused, fail or are not synced; says
 * what was parked and what was left. When the process that syncs ends, this one takes over.
 *
 * @returns `partial`: jobs were parked · that of the error that a backend fails with · `ok`.
 * @throws What the signal was aborted with.
 */
export async function settle(store: StoreD, context: Context, owed: Owed): Promise<ExitCode> {
  const meant = { ...owed, ...(owed.since !== undefined && { until: Date.now() }) }
  const backends = await waitForJobs(store, context, meant)
  context.out.progress.end()
  const parked = await reportParked(store, context, meant)
  const failing = await reportLeft(store, context, meant, backends)
  return parked > 0 ? EXIT.partial : failing
}

/** Has what failed before tried at once, by whichever process syncs, rather than when its turn comes. */
export async function tryAgain(store: StoreD, { backend }: Owed): Promise<void> {
  for (const info of await store.listBackends())
    if (isMeant(info, { backend }) && info.state !== 'paused' && (await hasFailed(store, info)))
      await store.resume(info.name)
}

/** Whether a try of a job that waits has failed. Those queued first are tried first: a queue of millions tells no more. */
async function hasFailed(store: StoreD, { name, state, jobs }: BackendInfo): Promise<boolean> {
  if (jobs.waiting === 0) return false
  // Jobs that came since wait without an error.
  if (state === 'failing' || state === 'unusable') return true
  let left = LOOK
  for await (const { error } of store.jobs({ backend: name, state: 'waiting' })) {
    if (error) return true
    if (--left === 0) break
  }
  return false
}

interface Meant extends Owed {
  readonly until?: number
}

/** @returns The backends as they were found last. */
async function waitForJobs(store: StoreD, { out, signal }: Context, owed: Meant): Promise<readonly BackendInfo[]> {
  let most = 0
  const isOwed = looker(store, owed, signal)
  /** What another process found out before this one asked it to try again is history. */
  let since: number | undefined
  for (;;) {
    using change = new Change(store)
    const { syncing, backends } = await store.status()
    const began = performance.now()
    if (syncing === 'nowhere') {
      out.note('no process syncs the store: its jobs remain')
      return backends.filter(({ state }) => state !== 'unknown')
    }
    const mayAsk = since === undefined && syncing === 'elsewhere'
    since ??= mayAsk ? Date.now() : 0
    const able = backends.filter((backend) => isMeant(backend, owed) && !isLeftAlone(backend, since))
    if (!(await isOwed(able))) return backends
    if (mayAsk) await tryAgain(store, owed)
    const took = performance.now() - began
    const bytes = able.reduce((sum, { jobs }) => sum + jobs.bytes, 0)
    const jobs = able.reduce((sum, { jobs: { waiting, running } }) => sum + waiting + running, 0)
    most = Math.max(most, bytes)
    out.progress.show({ title: 'sync', done: most - bytes, total: most, note: `${count(jobs, 'job')} left` })
    await change.happened(signal)
    await pause(Math.max(BATCH_MS, took / LOOKING_SHARE), signal)
  }
}

function isMeant({ name }: BackendInfo, { backend }: Owed): boolean {
  return backend === undefined || name === backend
}

/** @param since What was found out before, in milliseconds since the epoch, does not count. */
function isLeftAlone({ state, asOf = 0 }: BackendInfo, since = 0): boolean {
  return state === 'paused' || state === 'unknown' || ((state === 'failing' || state === 'unusable') && asOf >= since)
}

/** Whether something is owed still. What was found settled once is not looked at again. */
function looker(store: StoreD, owed: Meant, signal: AbortSignal): (able: readonly BackendInfo[]) => Promise<boolean> {
  const { keys = [] } = owed
  let settled = 0
  return async (able) => {
    if (able.every(({ jobs }) => jobs.waiting + jobs.running === 0)) return false
    for (; settled < keys.length; settled++) if (await isPending(store, keys[settled] as string, able)) return true
    return owed.since === undefined || hasJobSince(store, able, owed, signal)
  }
}

async function isPending(store: StoreD, key: string, able: readonly BackendInfo[]): Promise<boolean> {
  const { locations = [] } = (await store.stat(key)) ?? {}
  return locations.some(({ state, backend }) => state === 'pending' && able.some(({ name }) => name === backend))
}

async function hasJobSince(
  store: StoreD,
  able: readonly BackendInfo[],
  owed: Meant,
  signal: AbortSignal,
): Promise<boolean> {
  for (const { name, jobs } of able) {
    if (jobs.waiting + jobs.running === 0) continue
    for await (const job of store.jobs({ backend: name, signal }))
      if (job.state !== 'parked' && isSince(job, owed)) return true
  }
  return false
}

function isSince({ created }: Job, { since = 0, until = Number.POSITIVE_INFINITY }: Meant): boolean {
  return created >= since && created <= until
}

async function reportParked(store: StoreD, { out, signal }: Context, owed: Meant): Promise<number> {
  let parked = 0
  const { backend } = owed
  for await (const job of store.jobs({ state: 'parked', ...(backend !== undefined && { backend }), signal })) {
    if (!isSince(job, owed)) continue
    parked++
    await out.fault(recordedError(job.error ?? { code: 'INTERNAL', message: 'its job was parked' }), job.key)
  }
  return parked
}

/** @returns That of the error of the first that fails. */
async function reportLeft(
  store: StoreD,
  { out, signal }: Context,
  owed: Meant,
  backends: readonly BackendInfo[],
): Promise<ExitCode> {
  let exit: ExitCode = EXIT.ok
  for (const backend of backends) {
    const { name, state, error, jobs } = backend
    if (!isMeant(backend, owed) || !isLeftAlone(backend) || !(await looker(store, owed, signal)([backend]))) continue
    const left = `${count(jobs.waiting + jobs.running, 'job')} left for when`
    if (state === 'paused') out.note(`${name} is paused: ${left} it is back`)
    else if (state === 'unknown')
      out.note(`${name} is not configured in the process that syncs: ${left} that is started again`)
    else {
      const failure = error ?? { code: 'UNAVAILABLE', message: `${name} fails` }
      exit = firstFailure(exit, exitCodeOf(failure.code))
      await out.fault(recordedError(failure, `; ${left} it is back`), name)
    }
  }
  return exit
}

/** The next thing a syncer tells of, or a moment. */
class Change implements Disposable {
  readonly #unsubscribe: readonly (() => void)[]
  readonly #heard: Promise<void>

  constructor(store: StoreD) {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#heard = promise
    this.#unsubscribe = TYPES.map((type) => store.on(type, () => resolve()))
  }

  async happened(signal: AbortSignal): Promise<void> {
    const enough = new AbortController()
    const moment = pause(LOOK_MS, AbortSignal.any([signal, enough.signal])).catch(() => {})
    await Promise.race([this.#heard, moment])
    enough.abort()
    signal.throwIfAborted()
  }

  [Symbol.dispose](): void {
    for (const end of this.#unsubscribe) end()
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await setTimeout(ms, undefined, { signal })
}
