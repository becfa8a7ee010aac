import type { Services } from '../services.ts'
import type { BackendInfo, StoreStatus } from '../types.ts'
import type { Configured } from './backends.ts'
import { countBad } from './count-bad.ts'

const NO_JOBS = { waiting: 0, running: 0, parked: 0, bytes: 0 }

/** A backend, its state and its jobs. */
export async function backendInfo(
  { index, ledger, queue, syncer }: Services,
  { name, backend, layout }: Configured,
): Promise<BackendInfo> {
  const { driver, capabilities } = backend
  const { medium, bad } = await ledger.look((view) => {
    return { medium: index.medium(view, name), bad: countBad(index, view, name) }
  })
  const state = await syncer.state(name)
  const jobs = (await queue.counts())[name] ?? NO_JOBS
  return { name, driver, capabilities, layout, ...(medium !== null && { medium }), ...state, jobs, bad }
}

/** The state of a store, beside its backends. */
export async function storeStatus({
  backends,
  ledger,
  queue,
  staging,
  syncer,
}: Services): Promise<Omit<StoreStatus, 'backends'>> {
  const elsewhere = syncer.attended ? 'elsewhere' : 'nowhere'
  const counts = Object.entries(await queue.counts())
  return {
    syncing: syncer.active ? 'here' : elsewhere,
    detached: Object.fromEntries(
      counts.filter(([name, jobs]) => !backends.has(name) && jobs.waiting + jobs.running + jobs.parked > 0),
    ),
    staging: staging.usage(),
    degraded: ledger.degraded,
    disk: ledger.disk(),
  }
}
