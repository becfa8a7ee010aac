import { EXIT } from '../errors/exit-codes.ts'
import { bytes, count } from '../output/format.ts'
import type { Context } from '../session/context.ts'
import { openSession } from '../session/open-session.ts'
import type { Outcome } from '../session/outcome.ts'

export async function run(context: Context): Promise<Outcome> {
  await using store = await openSession(context, { sync: false })
  const stats = await store.cache.stats()
  const text = `${count(stats.entries, 'blob')}, ${bytes(stats.size)} of ${bytes(stats.maxSize)}`
  await context.out.tell({ type: 'cache', ...stats }, text)
  return { exit: EXIT.ok, summary: { entries: stats.entries, bytes: stats.size } }
}
