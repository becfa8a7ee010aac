import type { Readable } from 'node:stream'
import type { ListEntry, StoreD } from '@stored/core'
import { tellBackendLog } from '../backends/backend-log.ts'
import { type CopyGoal, copyGoal, countCopies } from '../copies/copy-goal.ts'
import { stateOn } from '../copies/copy-state.ts'
import { repairCopies } from '../copies/repair-copies.ts'
import { EXIT, firstFailure } from '../errors/exit-codes.ts'
import { readWith } from '../files/read-blob.ts'
import { settle } from '../jobs/settle.ts'
import { count, shortId } from '../output/format.ts'
import { Batch } from '../session/batch.ts'
import { loadConfiguration } from '../session/configuration.ts'
import type { Context } from '../session/context.ts'
import { openConfigured } from '../session/open-session.ts'
import type { Outcome } from '../session/outcome.ts'

export async function run(context: Context): Promise<Outcome> {
  const { input, out, dryRun, signal } = context
  const isFixing = input.has('fix') && !dryRun
  const wait = isFixing && !input.has('no-wait')
  const loaded = await loadConfiguration(context)
  await using store = await openConfigured(loaded, { sync: wait })
  tellBackendLog(store, out)
  const all = (await store.listBackends()).map(({ name }) => name)
  const goal = copyGoal(input.count('want', 1), loaded.config.defaultBackends ?? all, all)
  const batch = new Batch(out)
  const since = Date.now()
  let short = 0
  /** Blobs that lack more copies than there are backends to take them. */
  let beyond = 0
  for await (const entry of store.list({ missing: true, signal })) {
    const { have, coming, fix } = countCopies(entry, goal)
    if (have >= goal.want) continue
    if (have + coming + fix.length < goal.want) beyond++
    short++
    await tell(context, entry, { have, want: goal.want, fix: input.has('fix') ? fix : [] })
    if (isFixing && fix.length > 0) await fixOne(store, context, entry, fix, batch)
  }
  const settled = wait && batch.done > 0 ? await settle(store, context, { since }) : EXIT.ok
  const unfixed = input.has('fix') ? beyond : short
  const left = isFixing && short > 0 ? await countShort(store, goal, context, !wait) : unfixed
  const fixed = isFixing ? `, ${batch.done} given copies` : ''
  return {
    exit: firstFailure(firstFailure(batch.exit, settled), left > 0 ? EXIT.tooFew : EXIT.ok),
    text: `${count(short, 'blob')} with too few copies${fixed}`,
    summary: { short, fixed: batch.done, failed: batch.failed, left },
  }
}

/** Counts the keys that still have too few copies. If we do not wait for jobs, pending copies count. */
async function countShort(store: StoreD, goal: CopyGoal, { signal }: Context, isComing: boolean): Promise<number> {
  let short = 0
  for await (const entry of store.list({ missing: true, signal })) {
    const { have, coming } = countCopies(entry, goal)
    if (have + (isComing ? coming : 0) < goal.want) short++
  }
  return short
}

async function tell(
  { out, dryRun }: Context,
  { key, id }: ListEntry,
  o: { have: number; want: number; fix: readonly string[] },
): Promise<void> {
  await out.record({ type: 'copies', key, id, ...o })
  const fix = o.fix.length === 0 ? '' : `  ${dryRun ? 'would go' : 'goes'} to ${o.fix.join(', ')}`
  await out.line(`${o.have} of ${o.want}  ${shortId(id)}  ${key}${fix}`)
}

/** Repairs existing copies, and adds one on each backend that has none. */
async function fixOne(
  store: StoreD,
  context: Context,
  entry: ListEntry,
  backends: readonly string[],
  batch: Batch,
): Promise<void> {
  const absent = backends.filter((name) => stateOn(name, entry.locations) === null)
  if (absent.length < backends.length) await repairCopies(store, context, entry.key, batch)
  if (absent.length > 0) await copy(store, context, entry, absent, batch)
}

async function copy(
  store: StoreD,
  { signal }: Context,
  { key, id, size }: ListEntry,
  backends: readonly string[],
  batch: Batch,
): Promise<void> {
  try {
    // A key that was rebound in the meantime keeps its new blob.
    const options = { key, backends, ifMatch: id, expect: { checksum: id, size }, signal } as const
    // A failed put leaves nothing behind.
    const put = (body: Readable) => store.put(body, options)
    await readWith(store, key, { fallback: true, signal }, { mayBeginAgain: true }, put)
    batch.done++
  } catch (error) {
    signal.throwIfAborted()
    await batch.fault(error, key)
  }
}
