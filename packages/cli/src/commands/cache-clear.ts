import type { Context } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import type { Outcome } from '../outcome.ts'
import { bytes, count } from '../output/format.ts'
import { openSession } from '../session.ts'

export async function run(context: Context): Promise<Outcome> {
  const { out, dryRun } = context
  await using store = await openSession(context, { sync: false })
  const { entries, size } = await store.cache.stats()
  const what = `${count(entries, 'blob')}, ${bytes(size)}`
  if (dryRun) await out.tell({ type: 'plan', action: 'cache clear', entries, bytes: size }, `would clear ${what}`)
  else await store.cache.clear()
  return { exit: EXIT.ok, ...(!dryRun && { text: `cleared ${what}` }), summary: { entries, bytes: size } }
}
