import type { Job } from '@stored/core'
import { EXIT } from '../errors/exit-codes.ts'
import { usage } from '../errors/fault.ts'
import { bytes, time } from '../output/format.ts'
import type { Context } from '../session/context.ts'
import { openSession } from '../session/open-session.ts'
import type { Outcome } from '../session/outcome.ts'

const STATES: readonly string[] = ['waiting', 'running', 'parked'] satisfies Job['state'][]

export async function run(context: Context): Promise<Outcome> {
  const { input, out, signal } = context
  const state = stateOf(input.text('state'))
  const limit = input.count('limit', 0) ?? Number.POSITIVE_INFINITY
  const [backend] = input.args
  await using store = await openSession(context, { sync: false })
  const table = out.table([
    { title: 'backend' },
    { title: 'job' },
    { title: 'state' },
    { title: 'tries', align: 'right' },
    { title: 'size', align: 'right' },
    { title: 'queued (UTC)' },
    { title: 'key' },
    { title: 'error' },
  ])
  let jobs = 0
  for await (const job of store.jobs({ ...(backend !== undefined && { backend }), ...(state && { state }), signal })) {
    if (jobs >= limit) break
    jobs++
    await out.record({ type: 'job', ...job })
    const { op, attempts, size, created, key, error } = job
    await table.row(job.backend, op, job.state, `${attempts}`, bytes(size), time(created), key, error?.message ?? '')
  }
  await table.end()
  return { exit: EXIT.ok, summary: { jobs } }
}

/** @throws {Fault} USAGE. */
export function stateOf(text: string | undefined): Job['state'] | undefined {
  if (text === undefined || STATES.includes(text)) return text as Job['state'] | undefined
  throw usage(`--state must be one of ${STATES.join(', ')}`)
}
