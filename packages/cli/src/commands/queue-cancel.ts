import type { Job, StoreD } from '@stored/core'
import { EXIT, firstFailure } from '../errors/exit-codes.ts'
import { settle } from '../jobs/settle.ts'
import { count } from '../output/format.ts'
import { Batch } from '../session/batch.ts'
import type { Context } from '../session/context.ts'
import { openSession } from '../session/open-session.ts'
import type { Outcome } from '../session/outcome.ts'
import { stateOf } from './queue-ls.ts'

export async function run(context: Context): Promise<Outcome> {
  const { input, out, dryRun, signal } = context
  const backend = input.first
  const key = input.text('key')
  const state = stateOf(input.text('state')) ?? 'parked'
  const wait = !input.has('no-wait') && !dryRun
  await using store = await openSession(context, { sync: wait })
  const batch = new Batch(out)
  const since = Date.now()
  for await (const job of store.jobs({ backend, state, ...(key !== undefined && { key }), signal })) {
    // Cancelling a copy queues a removal, which is a job too.
    if (job.created >= since) continue
    try {
      signal.throwIfAborted()
      await cancel(store, job, context)
      batch.done++
    } catch (error) {
      signal.throwIfAborted()
      await batch.fault(error, job.key)
    }
  }
  const settled = wait && batch.done > 0 ? await settle(store, context, { since, backend }) : EXIT.ok
  const text = `${dryRun ? 'would cancel ' : 'cancelled '}${count(batch.done, 'job')}`
  return { exit: firstFailure(batch.exit, settled), text, summary: { cancelled: batch.done, failed: batch.failed } }
}

async function cancel(store: StoreD, { backend, key, id, op }: Job, { out, dryRun, signal }: Context): Promise<void> {
  const what = `${op} ${key} on ${backend}`
  const plan = () => out.tell({ type: 'plan', action: 'cancel', backend, key, id }, `would cancel ${what}`)
  if (op === 'delete') {
    const forgotten = await store.forget({ backend, key }, { dryRun })
    if (dryRun) return plan()
    return out.tell({ type: 'forget', ...forgotten }, `cancelled ${what}; what lies there stays`)
  }
  // All keys of a blob may share one object, whose key on the backend is none of them.
  const isOwnKey = (await store.stat(key))?.id === id
  const { deleted, pending } = await store.delete(isOwnKey ? key : id, { backends: [backend], signal, dryRun })
  if (dryRun) return plan()
  await out.tell({ type: 'delete', name: key, deleted, pending }, `cancelled ${what}`)
}
