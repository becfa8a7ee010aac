import { isDoubtful, type StoreD } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import { repairCopies } from '../copies/repair-copies.ts'
import { firstFailure } from '../errors/exit-codes.ts'
import { settle } from '../jobs/settle.ts'
import { count } from '../output/format.ts'
import { Batch } from '../session/batch.ts'
import type { Context } from '../session/context.ts'
import { openSession } from '../session/open-session.ts'
import type { Outcome } from '../session/outcome.ts'

export async function run(context: Context): Promise<Outcome> {
  const { input, out, dryRun, signal } = context
  const wait = !input.has('no-wait') && !dryRun
  await using store = await openSession(context, { sync: wait })
  const batch = new Batch(out)
  const since = Date.now()
  for await (const name of input.args.length > 0 ? input.args : damagedKeys(store, signal)) {
    signal.throwIfAborted()
    await (dryRun ? plan(store, context, name, batch) : repairCopies(store, context, name, batch))
  }
  const settled = wait && batch.done > 0 ? await settle(store, context, { since }) : batch.exit
  const text = `${dryRun ? 'would repair' : 'repaired'} ${count(batch.done, 'name')}`
  return { exit: firstFailure(batch.exit, settled), text, summary: { repaired: batch.done, failed: batch.failed } }
}

async function* damagedKeys(store: StoreD, signal: AbortSignal): AsyncGenerator<string> {
  for await (const { key, locations } of store.list({ missing: true, signal }))
    if (locations.some(isDoubtful)) yield key
}

async function plan(store: StoreD, { out, signal }: Context, name: string, batch: Batch): Promise<void> {
  try {
    const record = await store.stat(name)
    if (!record) throw new StorageError('NOT_FOUND', { op: 'repair', key: name })
    const damaged = record.locations.filter(isDoubtful)
    for (const { backend, key, state } of damaged)
      await out.tell(
        { type: 'plan', action: 'repair', name, backend, key, state },
        `would repair ${key} on ${backend}: ${state}`,
      )
    if (damaged.length > 0) batch.done++
  } catch (error) {
    signal.throwIfAborted()
    await batch.fault(error, name)
  }
}
