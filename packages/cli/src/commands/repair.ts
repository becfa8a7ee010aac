import { isDoubtful, type StoreD } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import type { Context } from '../context.ts'
import { mend } from '../mend.ts'
import type { Outcome } from '../outcome.ts'
import { count } from '../output/format.ts'
import { openSession } from '../session.ts'
import { settle } from '../settle.ts'
import { Tally, worse } from '../tally.ts'

export async function run(context: Context): Promise<Outcome> {
  const { input, out, dryRun, signal } = context
  const wait = !input.has('no-wait') && !dryRun
  await using store = await openSession(context, { sync: wait })
  const tally = new Tally(out)
  const since = Date.now()
  for await (const name of input.args.length > 0 ? input.args : damagedKeys(store, signal)) {
    signal.throwIfAborted()
    await (dryRun ? plan(store, context, name, tally) : mend(store, context, name, tally))
  }
  const settled = wait && tally.done > 0 ? await settle(store, context, { since }) : tally.exit
  const text = `${dryRun ? 'would repair' : 'repaired'} ${count(tally.done, 'name')}`
  return { exit: worse(tally.exit, settled), text, summary: { repaired: tally.done, failed: tally.failed } }
}

async function* damagedKeys(store: StoreD, signal: AbortSignal): AsyncGenerator<string> {
  for await (const { key, locations } of store.list({ missing: true, signal }))
    if (locations.some(isDoubtful)) yield key
}

async function plan(store: StoreD, { out, signal }: Context, name: string, tally: Tally): Promise<void> {
  try {
    const record = await store.stat(name)
    if (!record) throw new StorageError('NOT_FOUND', { op: 'repair', key: name })
    const damaged = record.locations.filter(isDoubtful)
    for (const { backend, key, state } of damaged)
      await out.tell(
        { type: 'plan', action: 'repair', name, backend, key, state },
        `would repair ${key} on ${backend}: ${state}`,
      )
    if (damaged.length > 0) tally.done++
  } catch (error) {
    signal.throwIfAborted()
    await tally.fault(error, name)
  }
}
