import { stateWord } from '../backends/backend-table.ts'
import { knownBackend } from '../backends/known-backend.ts'
import { EXIT } from '../errors/exit-codes.ts'
import { bytes } from '../output/format.ts'
import type { Context } from '../session/context.ts'
import { openSession } from '../session/open-session.ts'
import type { Outcome } from '../session/outcome.ts'

export async function run(context: Context): Promise<Outcome> {
  const { input, out } = context
  await using store = await openSession(context, { sync: false })
  const info = await knownBackend(store, input.first)
  await out.record({ type: 'backend', ...info })
  const { name, driver, layout, jobs, capabilities, error } = info
  const state = stateWord(info)
  const fields = out.table([{ title: 'backend' }, { title: name }])
  await fields.row('driver', driver)
  await fields.row('layout', layout)
  await fields.row('state', error ? `${state}: ${error.message}` : state)
  await fields.row(
    'jobs',
    `${jobs.waiting} waiting, ${jobs.running} running, ${jobs.parked} parked, ${bytes(jobs.bytes)}`,
  )
  for (const [capability, value] of Object.entries(capabilities)) await fields.row(capability, JSON.stringify(value))
  await fields.end()
  return { exit: EXIT.ok, summary: { backends: 1 } }
}
