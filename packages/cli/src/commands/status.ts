import type { StoreStatus } from '@stored/core'
import { backendTable } from '../backends/backend-table.ts'
import { badCopies, parkedRemovals } from '../copies/bad-copies.ts'
import { shortOfSpace } from '../doctor/disk-space.ts'
import { EXIT } from '../errors/exit-codes.ts'
import { noteDetached } from '../jobs/detached-jobs.ts'
import { bytes, count } from '../output/format.ts'
import { paint } from '../output/painted.ts'
import type { Context } from '../session/context.ts'
import { openSession } from '../session/open-session.ts'
import type { Outcome } from '../session/outcome.ts'

const SYNCING: Readonly<Record<StoreStatus['syncing'], string>> = {
  here: 'this process',
  elsewhere: 'another process',
  nowhere: 'nobody',
}

export async function run(context: Context): Promise<Outcome> {
  const { out } = context
  await using store = await openSession(context, { sync: false })
  const status = await store.status()
  const { syncing, staging, degraded, disk, backends, detached } = status
  await out.record({ type: 'status', syncing, detached, staging, degraded, disk })
  await out.line(`syncing: ${SYNCING[syncing]}`)
  await out.line(`staged:  ${bytes(staging.bytes)} of ${bytes(staging.limit)}`)
  if (degraded) await out.line(paint('31', `degraded: ${degraded.message}`))
  const short = shortOfSpace(disk)
  if (short !== null) await out.line(paint('31', `disk:    ${short}`))
  await backendTable(out, backends)
  const bad = badCopies(backends)
  for (const { backend, message, isDamage } of bad)
    await out.line(paint(isDamage ? '31' : '33', `${backend}: ${message}`))
  for (const backend of backends) {
    const removals = parkedRemovals(backend)
    if (removals > 0)
      await out.line(
        `${backend.name}: ${count(removals, 'removal')} given up; stored queue ls ${backend.name} --state parked says why`,
      )
  }
  noteDetached(out, status)
  const jobs = backends.reduce((sum, backend) => sum + backend.jobs.waiting + backend.jobs.running, 0)
  const parked = backends.reduce((sum, backend) => sum + backend.jobs.parked, 0)
  const isLeft = jobs > 0 && syncing === 'nowhere'
  return {
    exit: EXIT.ok,
    ...(isLeft && { text: `${count(jobs, 'job')} left; stored sync --until-idle runs ${jobs === 1 ? 'it' : 'them'}` }),
    summary: { backends: backends.length, jobs, parked, bad: bad.reduce((sum, { copies }) => sum + copies, 0) },
  }
}
