import type { BackendInfo, Failure, StoreD } from '@stored/core'

/** Failed tries that make an outage: so many in a row, and the process that syncs leaves the backend alone. */
const OUTAGE = 5
/** Jobs looked at. Those queued first are tried first: a queue of millions tells no more. */
const LOOK = 1000
/** One of these is enough: no job can succeed. */
const FOR_ALL: readonly string[] = ['UNAUTHENTICATED', 'MISCONFIGURED']

/** What the jobs that wait for a backend noted of tries that failed. Where this process does not sync, it is all that is known. */
export interface Failures {
  /** Jobs that failed, and wait for another try. */
  readonly jobs: number
  readonly tries: number
  /** Changes with every try that fails. */
  readonly sumOfDues: number
  /** Of the one that waits longest. */
  readonly error?: Failure
  /** So many failed, and none is under way that did not, that the backend has to be taken for failing. */
  readonly isOutage: boolean
}

/** Reads jobs of one backend, if any wait. */
export async function failuresOn(store: StoreD, { name, jobs }: BackendInfo): Promise<Failures> {
  const failures = { jobs: 0, tries: 0, sumOfDues: 0 }
  let last: { due: number; error: Failure } | undefined
  let isForAll = false
  let isMoving = false
  if (jobs.waiting > 0) {
    for await (const { error } of store.jobs({ backend: name, state: 'running' })) isMoving ||= !error
    let left = LOOK
    for await (const { error, due, attempts } of store.jobs({ backend: name, state: 'waiting' })) {
      if (left-- === 0) break
      // A conflict with another writer says nothing of the backend.
      if (!error || error.code === 'CONFLICT') continue
      failures.jobs++
      failures.tries += Math.max(1, attempts)
      failures.sumOfDues += due
      isForAll ||= FOR_ALL.includes(error.code)
      if (!last || due > last.due) last = { due, error }
    }
  }
  const isOutage = !isMoving && (isForAll || failures.tries >= OUTAGE)
  return { ...failures, isOutage, ...(last && { error: last.error }) }
}

/** Tells for as long as somebody waits which backends fail, also where another process syncs: by what its tries noted since. */
export class Outlook {
  readonly #store: StoreD
  readonly #before = new Map<string, Failures>()

  constructor(store: StoreD) {
    this.#store = store
  }

  /** The same, with a `state` where jobs tell it. */
  async on(backend: BackendInfo): Promise<BackendInfo> {
    if (backend.state !== 'unknown') return backend
    const now = await failuresOn(this.#store, backend)
    const before = this.#before.get(backend.name)
    // Fewer than before: some succeeded, and it begins anew.
    if (!before || now.jobs < before.jobs) {
      this.#before.set(backend.name, now)
      return backend
    }
    const isNews = now.jobs > before.jobs || now.sumOfDues !== before.sumOfDues
    return isNews && now.isOutage && now.error ? { ...backend, state: 'failing', error: now.error } : backend
  }
}
