import type { Context } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import type { Outcome } from '../outcome.ts'
import { bytes, count } from '../output/format.ts'
import { openSession } from '../session.ts'

export async function run(context: Context): Promise<Outcome> {
  await using store = await openSession(context, { sync: false })
  const stats = await store.cache.stats()
  const text = `${count(stats.entries, 'blob')}, ${bytes(stats.size)} of ${bytes(stats.maxSize)}`
  await context.out.tell({ type: 'cache', ...stats }, text)
  return { exit: EXIT.ok, summary: { entries: stats.entries, bytes: stats.size } }
}
