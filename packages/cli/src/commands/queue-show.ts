import { backendTable } from '../backends/backend-table.ts'
import { knownBackend } from '../backends/known-backend.ts'
import { EXIT } from '../errors/exit-codes.ts'
import type { Context } from '../session/context.ts'
import { openSession } from '../session/open-session.ts'
import type { Outcome } from '../session/outcome.ts'

export async function run(context: Context): Promise<Outcome> {
  const [name] = context.input.args
  await using store = await openSession(context, { sync: false })
  const backends = name === undefined ? await store.listBackends() : [await knownBackend(store, name)]
  await backendTable(context.out, backends)
  const sum = (of: 'waiting' | 'running' | 'parked') => backends.reduce((total, { jobs }) => total + jobs[of], 0)
  return { exit: EXIT.ok, summary: { waiting: sum('waiting'), running: sum('running'), parked: sum('parked') } }
}
