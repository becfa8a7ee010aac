import { once } from 'node:events'
import type { StoreD, StoreStatus } from '@stored/core'
import { knownBackend } from '../backends/known-backend.ts'
import { EXIT } from '../errors/exit-codes.ts'
import { Fault, usage } from '../errors/fault.ts'
import { jobsOf, noteDetached } from '../jobs/detached-jobs.ts'
import { settle, tryAgain } from '../jobs/settle.ts'
import { count } from '../output/format.ts'
import type { Context } from '../session/context.ts'
import { openSession } from '../session/open-session.ts'
import type { Outcome } from '../session/outcome.ts'

interface Counts {
  synced: number
  parked: number
}

export async function run(context: Context): Promise<Outcome> {
  const { input, out, signal, dryRun } = context
  const backend = input.text('backend')
  const untilIdle = input.has('until-idle')
  if (backend !== undefined && !untilIdle) throw usage('--backend needs --until-idle: a process syncs the whole store')
  await using store = await openSession(context, { sync: !dryRun })
  if (backend !== undefined) await knownBackend(store, backend)
  if (dryRun) return await plan(store, context, backend)
  if (untilIdle) return await syncUntilIdle(store, context, backend)
  watch(store, context)
  if ((await store.status()).syncing !== 'here') throw new Fault('LOCKED', 'another process syncs this store already')
  await tryAgain(store, {})
  out.note('syncing; interrupt to end')
  const told = tellWhenIdle(store, context)
  if (!signal.aborted) await once(signal, 'abort')
  await told
  throw signal.reason
}

/** Printed once: without a progress line, working and waiting look the same. */
async function tellWhenIdle(store: StoreD, { out, signal }: Context): Promise<void> {
  // It rejects for parked jobs, which are counted below.
  await store.synced(undefined, { signal }).catch(() => {})
  if (signal.aborted) return
  const status = await store.status()
  const jobs = status.backends.map(({ jobs }) => jobs)
  if (jobs.some(({ waiting, running }) => waiting + running > 0)) return
  const parked = jobs.reduce((sum, { parked }) => sum + parked, 0)
  noteDetached(out, status)
  const but = parked === 0 ? '' : `, except ${count(parked, 'parked job')}: stored queue ls --state parked`
  out.note(`no jobs are left${but}; waiting for new ones`)
}

/** Closes the store. A job may finish visibly before its event arrives, and only closing delivers every event. */
export async function syncUntilIdle(store: StoreD, context: Context, backend: string | undefined): Promise<Outcome> {
  const counts = watch(store, context)
  await tryAgain(store, { backend })
  const exit = await settle(store, context, { backend })
  const status = await store.status()
  await store.close()
  if (backend === undefined) noteDetached(context.out, status)
  return { exit, text: endOf(counts, status.syncing, left(status, backend) === 0), summary: { ...counts } }
}

/** Jobs run by another process are not counted, so the text gives no number. */
function endOf({ synced }: Counts, syncing: StoreStatus['syncing'], isDone: boolean): string {
  const isMine = syncing !== 'elsewhere' || synced > 0
  const what = isMine ? `${count(synced, 'job')} done` : 'another process syncs this store'
  return isDone ? `${what}, no jobs are left` : what
}

function left({ backends, detached }: StoreStatus, backend: string | undefined): number {
  const all = backends.filter(({ name }) => backend === undefined || name === backend).map(({ jobs }) => jobs)
  if (backend === undefined) all.push(...Object.values(detached))
  return all.reduce((sum, jobs) => sum + jobsOf(jobs), 0)
}

async function plan(store: StoreD, { out, signal }: Context, backend: string | undefined): Promise<Outcome> {
  let jobs = 0
  for await (const job of store.jobs({ ...(backend !== undefined && { backend }), signal })) {
    if (job.state === 'parked') continue
    jobs++
    const { op, key, size } = job
    await out.tell(
      { type: 'plan', action: op, backend: job.backend, key, size },
      `would ${op} ${key} on ${job.backend}`,
    )
  }
  return { exit: EXIT.ok, summary: { jobs } }
}

function watch(store: StoreD, { out }: Context): Counts {
  const counts: Counts = { synced: 0, parked: 0 }
  store.on('sync:complete', ({ backend, op, key }) => {
    counts.synced++
    if (out.isVerbose) out.note(`${op} ${key} on ${backend}`)
  })
  store.on('sync:error', ({ backend, op, key, error }) => {
    counts.parked++
    out.note(`${op} ${key} on ${backend}: parked: ${error.message}`)
  })
  store.on('sync:retry', ({ backend, key, error, attempts }) => {
    if (out.isVerbose) out.note(`${key} on ${backend}: attempt ${attempts} failed: ${error.message}`)
  })
  return counts
}
