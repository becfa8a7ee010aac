import { EXIT } from '../errors/exit-codes.ts'
import { settle } from '../jobs/settle.ts'
import { count } from '../output/format.ts'
import type { Context } from '../session/context.ts'
import { openSession } from '../session/open-session.ts'
import type { Outcome } from '../session/outcome.ts'

export async function run(context: Context): Promise<Outcome> {
  const { input, out, dryRun, signal } = context
  const [backend] = input.args
  const key = input.text('key')
  const wait = !input.has('no-wait') && !dryRun
  await using store = await openSession(context, { sync: wait })
  const filter = { ...(backend !== undefined && { backend }), ...(key !== undefined && { key }), signal }
  if (dryRun) {
    let jobs = 0
    for await (const job of store.jobs({ ...filter, state: 'parked' })) {
      jobs++
      const plan = { action: 'retry', backend: job.backend, key: job.key }
      await out.tell({ type: 'plan', ...plan }, `would retry ${job.op} ${job.key} on ${job.backend}`)
    }
    return { exit: EXIT.ok, summary: { jobs } }
  }
  const jobs = await store.retry(filter)
  out.note(`${count(jobs, 'job')} put back`)
  return { exit: wait && jobs > 0 ? await settle(store, context, { backend }) : EXIT.ok, summary: { jobs } }
}
