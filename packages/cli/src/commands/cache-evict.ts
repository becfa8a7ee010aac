import type { Context } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import type { Outcome } from '../outcome.ts'
import { bytes, count } from '../output/format.ts'
import { openSession } from '../session.ts'

export async function run(context: Context): Promise<Outcome> {
  const { input, out, dryRun } = context
  const which = input.first
  await using store = await openSession(context, { sync: false })
  if (dryRun) {
    await out.tell({ type: 'plan', action: 'cache evict', which }, `would evict ${which} from the read cache`)
    return { exit: EXIT.ok, summary: { entries: 0, bytes: 0 } }
  }
  const evicted = await store.cache.evict(which)
  return {
    exit: EXIT.ok,
    text: `evicted ${count(evicted.entries, 'blob')}, ${bytes(evicted.bytes)}`,
    summary: { ...evicted },
  }
}
