import { setTimeout } from 'node:timers/promises'
import type { BackendInfo, Job, StoreD } from '@stored/core'
import { EXIT, type ExitCode, exitCodeOf, firstFailure } from '../errors/exit-codes.ts'
import { recordedError } from '../errors/recorded-error.ts'
import { count } from '../output/format.ts'
import type { Context } from '../session/context.ts'

/** Changes that arrive within this time are looked at once. */
const BATCH_MS = 20
/** No event tells of a breaker that opens or a lease that is lost. */
const LOOK_MS = 1000
/** How many jobs of a backend are looked at. */
const LOOK = 1000
/** Looking at jobs takes at most this share of the time. */
const LOOKING_SHARE = 0.1
const TYPES = ['sync:start', 'sync:retry', 'sync:complete', 'sync:error'] as const

export interface Owed {
  /**
   * Only jobs queued since then, in milliseconds since the epoch, and before this call. @default all, including later
   * ones
   */
  readonly since?: number
  /** Also jobs of these keys, which may have been queued earlier. */
  readonly keys?: readonly string[]
  readonly backend?: string | undefined
}

/**
 * Waits until these jobs have settled, whichever process runs them. Skips jobs of backends that are paused, failing or
 * not synced. Reports what was parked and what was left. If the syncing process ends, this one takes over.
 *
 * @returns `partial`: jobs were parked · the code of the error that a backend fails with · `ok`.
 * @throws The abort reason of the signal.
 */
export async function settle(store: StoreD, context: Context, owed: Owed): Promise<ExitCode> {
  const meant = { ...owed, ...(owed.since !== undefined && { until: Date.now() }) }
  const backends = await waitForJobs(store, context, meant)
  context.out.progress.end()
  const parked = await reportParked(store, context, meant)
  const failing = await reportLeft(store, context, meant, backends)
  return parked > 0 ? EXIT.partial : failing
}

/** Retries failed jobs at once, in whichever process syncs, instead of when their turn comes. */
export async function tryAgain(store: StoreD, { backend }: Owed): Promise<void> {
  for (const info of await store.listBackends())
    if (isMeant(info, { backend }) && info.state !== 'paused' && (await hasFailed(store, info)))
      await store.resume(info.name)
}

/**
 * Whether an attempt at a waiting job has failed. The jobs queued first run first, so looking at millions would tell no
 * more.
 */
async function hasFailed(store: StoreD, { name, state, jobs }: BackendInfo): Promise<boolean> {
  if (jobs.waiting === 0) return false
  // Newer jobs are waiting without an error.
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

/** @returns The backends as last seen. */
async function waitForJobs(store: StoreD, { out, signal }: Context, owed: Meant): Promise<readonly BackendInfo[]> {
  let most = 0
  const isOwed = looker(store, owed, signal)
  /** States that another process found before this one asked it to retry are history. */
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

/** @param since States found before then, in milliseconds since the epoch, do not count. */
function isLeftAlone({ state, asOf = 0 }: BackendInfo, since = 0): boolean {
  return state === 'paused' || state === 'unknown' || ((state === 'failing' || state === 'unusable') && asOf >= since)
}

/** Tells whether anything is still pending. Jobs found settled are not looked at again. */
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

/** @returns The exit code for the error of the first failing backend. */
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
    const left = `${count(jobs.waiting + jobs.running, 'job')} left until`
    if (state === 'paused') out.note(`${name} is paused: ${left} it is resumed`)
    else if (state === 'unknown')
      out.note(`${name} is not configured in the process that syncs: ${left} that is restarted`)
    else {
      const failure = error ?? { code: 'UNAVAILABLE', message: `${name} fails` }
      exit = firstFailure(exit, exitCodeOf(failure.code))
      await out.fault(recordedError(failure, `; ${left} it recovers`), name)
    }
  }
  return exit
}

/** Resolves with the next event of a syncer, or after a moment. */
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
