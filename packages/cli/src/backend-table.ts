import type { BackendInfo, StoreD } from '@stored/core'
import { bytes, span, time } from './output/format.ts'
import type { Output } from './output/output.ts'
import { standingOf } from './standing.ts'

/** How backends do, and what they are owed: a row for each, or a record. */
export async function backendTable(store: StoreD, out: Output, backends: readonly BackendInfo[]): Promise<void> {
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
    const { name, driver, jobs, retryAt } = backend
    const { state, error } = await standingOf(store, backend)
    const { waiting, running, parked, oldest } = jobs
    const since = oldest === undefined ? '-' : time(oldest)
    const again = retryAt === undefined ? '' : `, again in ${span(retryAt - Date.now())}`
    const counts = [waiting, running, parked].map(String)
    await table.row(name, driver, state, ...counts, bytes(jobs.bytes), since, error ? error.message + again : '')
  }
  await table.end()
}
