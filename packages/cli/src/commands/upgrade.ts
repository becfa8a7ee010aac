import type { UpgradeOptions } from '@stored/node'
import { EXIT } from '../errors/exit-codes.ts'
import { bytes, count } from '../output/format.ts'
import type { Context } from '../session/context.ts'
import type { Outcome } from '../session/outcome.ts'
import { storeOf } from '../session/store-directory.ts'

export async function run(context: Context): Promise<Outcome> {
  const { out, signal, dryRun, input } = context
  const store = await storeOf(context)
  if (input.has('prune')) return prune(context, store)
  const { upgradeStore } = await import('@stored/node')
  const shown = (rows: number) => count(Math.round(rows), 'row')
  const onProgress: UpgradeOptions['onProgress'] = ({ rows, total }) =>
    out.progress.show({ title: 'upgrading', done: rows, total, shown })
  const { from, to, rows, size, kept } = await upgradeStore({ ...store, signal, dryRun, onProgress })
  out.progress.end()
  const summary = { from, to, rows, size, kept }
  if (kept === null) return { exit: EXIT.ok, text: `the store has format ${to} already`, summary }
  const plan = { type: 'plan', action: 'upgrade', from, to, rows, size } as const
  if (dryRun) await out.tell(plan, `would upgrade ${store.path} from format ${from} to ${to}`)
  const what = `${count(rows, 'row')}, ${bytes(size)}`
  const text = dryRun
    ? what
    : `${what}: format ${to}; ${kept} is the former index, which stored upgrade --prune removes`
  return { exit: EXIT.ok, text, summary }
}

async function prune({ dryRun }: Context, store: { readonly path: string }): Promise<Outcome> {
  const { pruneUpgrade } = await import('@stored/node')
  const pruned = await pruneUpgrade({ ...store, dryRun })
  const text = pruned === null ? 'no former index is kept' : `${dryRun ? 'would remove' : 'removed'} ${pruned}`
  return { exit: EXIT.ok, text, summary: { pruned } }
}
