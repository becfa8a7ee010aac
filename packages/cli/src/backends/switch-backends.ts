import { EXIT } from '../errors/exit-codes.ts'
import type { Context } from '../session/context.ts'
import { openSession } from '../session/open-session.ts'
import type { Outcome } from '../session/outcome.ts'
import { knownBackend } from './known-backend.ts'

/** Pauses or resumes one backend or all of them. */
export async function switchBackends(context: Context, action: 'pause' | 'resume'): Promise<Outcome> {
  const { input, out, dryRun } = context
  await using store = await openSession(context, { sync: false })
  const all = (await store.listBackends()).map(({ name }) => name)
  const [named] = input.args
  const chosen = named === undefined ? all : [(await knownBackend(store, named)).name]
  for (const name of chosen) {
    if (dryRun) {
      await out.tell({ type: 'plan', action, backend: name }, `would ${action} ${name}`)
      continue
    }
    await store[action](name)
    const info = await store.getBackend(name)
    await out.tell({ type: 'backend', ...info }, `${action}d ${name}`)
  }
  return { exit: EXIT.ok, summary: { backends: chosen.length } }
}
