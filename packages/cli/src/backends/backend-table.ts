import type { BackendInfo } from '@stored/core'
import { bytes, span, time } from '../output/format.ts'
import type { Output } from '../output/output.ts'

/** A backend's state in a word, for people. When nothing syncs, its pending jobs say more than `unknown`. */
export function stateWord({ state, error, jobs }: BackendInfo): string {
  if (state !== 'unknown') return state
  if (jobs.waiting + jobs.running === 0) return 'idle'
  return error ? 'failing' : 'waiting'
}

/** The state and pending jobs of each backend, as table rows or records. */
export async function backendTable(out: Output, backends: readonly BackendInfo[]): Promise<void> {
  const table = out.table([
    { title: 'backend' },
    { title: 'driver' },
    { title: 'state' },
    { title: 'waiting', align: 'right' },
    { title: 'running', align: 'right' },
    { title: 'parked', align: 'right' },
    { title: 'owed', align: 'right' },
    { title: 'since (UTC)' },
    { title: 'error' },
  ])
  for (const backend of backends) {
    await out.record({ type: 'backend', ...backend })
    const { name, driver, jobs, error } = backend
    const { waiting, running, parked, oldest } = jobs
    const since = oldest === undefined ? '-' : time(oldest)
    const counts = [waiting, running, parked].map(String)
    await table.row(
      name,
      driver,
      stateWord(backend),
      ...counts,
      bytes(jobs.bytes),
      since,
      error ? error.message + when(backend) : '',
    )
  }
  await table.end()
}

function when({ retryAt, asOf }: BackendInfo): string {
  if (retryAt !== undefined) return `, again in ${span(retryAt - Date.now())}`
  return asOf === undefined ? '' : `, ${span(Date.now() - asOf)} ago`
}
