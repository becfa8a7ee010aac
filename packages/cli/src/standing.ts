import type { BackendInfo, Failure, StoreD } from '@stored/core'
import { failuresOn } from './outlook.ts'

/** How a backend does, in the words for people. */
export interface Standing {
  readonly state: BackendInfo['state'] | 'idle' | 'waiting' | 'retrying'
  readonly error?: Failure
}

/** Only the process that syncs knows the state of a backend; for others what its jobs tell takes the place of `unknown`. */
export async function standingOf(store: StoreD, backend: BackendInfo): Promise<Standing> {
  const { state, error, jobs } = backend
  if (state !== 'unknown') return error ? { state, error } : { state }
  if (jobs.waiting + jobs.running === 0) return { state: 'idle' }
  const failures = await failuresOn(store, backend)
  if (!failures.error) return { state: 'waiting' }
  return { state: failures.isOutage ? 'failing' : 'retrying', error: failures.error }
}
