import type { Place, StoreD } from '@stored/core'
import { usage } from '../errors/fault.ts'
import { Batch } from '../session/batch.ts'
import type { Context } from '../session/context.ts'
import { openSession } from '../session/open-session.ts'
import type { Outcome } from '../session/outcome.ts'

export async function run(context: Context): Promise<Outcome> {
  const { input, out, dryRun, signal } = context
  const name = input.first
  await using store = await openSession(context, { sync: false })
  const backend = input.text('backend')
  if (backend === undefined) throw usage('forget needs --backend, the backend whose copy to give up')
  const batch = new Batch(out)
  for (const place of await placesOf(store, name, backend)) {
    signal.throwIfAborted()
    try {
      await forget(store, context, place, dryRun)
      batch.done++
    } catch (error) {
      await batch.fault(error, place.key)
    }
  }
  return { exit: batch.exit, summary: { forgotten: batch.done, failed: batch.failed } }
}

/** The copies of `name` there, or else the location of exactly this key: nothing else is known of a deleted key. */
async function placesOf(store: StoreD, name: string, backend: string): Promise<readonly Place[]> {
  const { locations = [] } = (await store.stat(name)) ?? {}
  const there = locations.filter((location) => location.backend === backend)
  return there.length > 0 ? there.map(({ key }) => ({ backend, key })) : [{ backend, key: name }]
}

async function forget(store: StoreD, { out }: Context, { backend, key }: Place, dryRun: boolean): Promise<void> {
  const { id, was } = await store.forget({ backend, key }, { dryRun })
  const what = `${was === 'deleting' ? 'the removal of ' : ''}${key} on ${backend}`
  if (dryRun) return out.tell({ type: 'plan', action: 'forget', backend, key, id, was }, `would forget ${what}`)
  await out.tell({ type: 'forget', backend, key, id, was }, `forgot ${what}; what lies there stays`)
}
