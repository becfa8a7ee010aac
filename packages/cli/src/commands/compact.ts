import { EXIT } from '../errors/exit-codes.ts'
import { bytes } from '../output/format.ts'
import type { Context } from '../session/context.ts'
import type { Outcome } from '../session/outcome.ts'
import { storeOf } from '../session/store-directory.ts'

export async function run(context: Context): Promise<Outcome> {
  const { out, dryRun } = context
  const store = await storeOf(context)
  const { compactStore } = await import('@stored/node')
  const { before, after } = await compactStore({ ...store, dryRun })
  const summary = { before, after }
  if (after !== null) return { exit: EXIT.ok, text: `index: ${bytes(before)} before, ${bytes(after)} now`, summary }
  await out.tell(
    { type: 'plan', action: 'compact', before },
    `would compact the index of ${store.path}, ${bytes(before)}`,
  )
  return { exit: EXIT.ok, summary }
}
