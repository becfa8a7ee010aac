import { EXIT } from '../errors/exit-codes.ts'
import { bytes, count } from '../output/format.ts'
import type { Context } from '../session/context.ts'
import { openSession } from '../session/open-session.ts'
import type { Outcome } from '../session/outcome.ts'

export async function run(context: Context): Promise<Outcome> {
  const { out, dryRun } = context
  await using store = await openSession(context, { sync: false })
  const { entries, size } = await store.cache.stats()
  const what = `${count(entries, 'blob')}, ${bytes(size)}`
  if (dryRun) await out.tell({ type: 'plan', action: 'cache clear', entries, bytes: size }, `would clear ${what}`)
  else await store.cache.clear()
  return { exit: EXIT.ok, ...(!dryRun && { text: `cleared ${what}` }), summary: { entries, bytes: size } }
}
