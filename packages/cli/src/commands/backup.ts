import { EXIT } from '../errors/exit-codes.ts'
import { bytes, count } from '../output/format.ts'
import type { Context } from '../session/context.ts'
import type { Outcome } from '../session/outcome.ts'
import { storeOf } from '../session/store-directory.ts'

export async function run(context: Context): Promise<Outcome> {
  const { out, input, signal, dryRun } = context
  const store = await storeOf(context)
  const staged = input.has('staged')
  if (dryRun) {
    await out.tell(
      { type: 'plan', action: 'backup', to: input.first, staged },
      `would copy ${store.path} to ${input.first}`,
    )
    return { exit: EXIT.ok }
  }
  const { backupStore } = await import('@stored/node')
  const { to, size, files } = await backupStore({ ...store, to: input.first, staged, signal })
  const text = `${to}: ${bytes(size)}${staged ? `, ${count(files, 'staged file')}` : ''}`
  return { exit: EXIT.ok, text, summary: { to, size, files } }
}
