import { stateWord } from '../backends/backend-table.ts'
import { EXIT } from '../errors/exit-codes.ts'
import type { Context } from '../session/context.ts'
import { openSession } from '../session/open-session.ts'
import type { Outcome } from '../session/outcome.ts'

export async function run(context: Context): Promise<Outcome> {
  const { out } = context
  await using store = await openSession(context, { sync: false })
  const backends = await store.listBackends()
  const table = out.table([{ title: 'backend' }, { title: 'driver' }, { title: 'layout' }, { title: 'state' }])
  for (const backend of backends) {
    await out.record({ type: 'backend', ...backend })
    await table.row(backend.name, backend.driver, backend.layout, stateWord(backend))
  }
  await table.end()
  return { exit: EXIT.ok, summary: { backends: backends.length } }
}
