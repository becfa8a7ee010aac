import { EXIT } from '../errors/exit-codes.ts'
import { count } from '../output/format.ts'
import type { Context } from '../session/context.ts'
import type { Outcome } from '../session/outcome.ts'
import { locationOf } from '../session/store-directory.ts'

export async function run(context: Context): Promise<Outcome> {
  const { out, input, signal, dryRun } = context
  const store = await locationOf(context)
  if (dryRun) {
    await out.tell(
      { type: 'plan', action: 'restore', from: input.first },
      `would restore ${input.first} to ${store.path}`,
    )
    return { exit: EXIT.ok }
  }
  const { restoreStore } = await import('@stored/node')
  const { files, lacking, missing } = await restoreStore({ ...store, from: input.first, signal })
  for (const id of missing)
    await out.tell({ type: 'missing', id }, `${id}: its bytes are neither in the backup nor on a backend: put it again`)
  const copied =
    lacking > missing.length ? `; ${count(lacking - missing.length, 'blob')} will be copied from a backend` : ''
  const lost = missing.length > 0 ? `; ${count(missing.length, 'blob')} missing` : ''
  const text = `${store.path}: ${count(files, 'staged file')}${copied}${lost}`
  const exit = missing.length > 0 ? EXIT.partial : EXIT.ok
  return { exit, text, summary: { files, lacking, missing: missing.length } }
}
