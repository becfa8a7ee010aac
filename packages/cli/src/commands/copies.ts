import type { Readable } from 'node:stream'
import type { ListEntry, StoreD } from '@stored/core'
import { tellBackendLog } from '../backend-log.ts'
import { loadConfiguration } from '../configuration.ts'
import type { Context } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { mend } from '../mend.ts'
import type { Outcome } from '../outcome.ts'
import { count, shortId } from '../output/format.ts'
import { readWith } from '../read-blob.ts'
import { openConfigured } from '../session.ts'
import { settle } from '../settle.ts'
import { type Goal, goalOf, shortage } from '../shortage.ts'
import { stateOn } from '../state-on.ts'
import { Tally, worse } from '../tally.ts'

export async function run(context: Context): Promise<Outcome> {
  const { input, out, dryRun, signal } = context
  const isFixing = input.has('fix') && !dryRun
  const wait = isFixing && !input.has('no-wait')
  const loaded = await loadConfiguration(context)
  await using store = await openConfigured(loaded, { sync: wait })
  tellBackendLog(store, out)
  const all = (await store.listBackends()).map(({ name }) => name)
  const goal = goalOf(input.count('want', 1), loaded.config.defaultBackends ?? all, all)
  const tally = new Tally(out)
  const since = Date.now()
  let short = 0
  /** Those that no backend is free for. */
  let beyond = 0
  for await (const entry of store.list({ missing: true, signal })) {
    const { have, coming, fix } = shortage(entry, goal)
    if (have >= goal.want) continue
    if (have + coming + fix.length < goal.want) beyond++
    short++
    await tell(context, entry, { have, want: goal.want, fix: input.has('fix') ? fix : [] })
    if (isFixing && fix.length > 0) await fixOne(store, context, entry, fix, tally)
  }
  const settled = wait && tally.done > 0 ? await settle(store, context, { since }) : EXIT.ok
  const unfixed = input.has('fix') ? beyond : short
  const left = isFixing && short > 0 ? await countShort(store, goal, context, !wait) : unfixed
  const fixed = isFixing ? `, ${tally.done} given copies` : ''
  return {
    exit: worse(worse(tally.exit, settled), left > 0 ? EXIT.tooFew : EXIT.ok),
    text: `${count(short, 'blob')} with too few copies${fixed}`,
    summary: { short, fixed: tally.done, failed: tally.failed, left },
  }
}

/** How many keys still have too few copies. Where nobody waits for them, copies that are owed count. */
async function countShort(store: StoreD, goal: Goal, { signal }: Context, isComing: boolean): Promise<number> {
  let short = 0
  for await (const entry of store.list({ missing: true, signal })) {
    const { have, coming } = shortage(entry, goal)
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

/** Mends the copies that are there, and gives one to each backend that has none. */
async function fixOne(
  store: StoreD,
  context: Context,
  entry: ListEntry,
  backends: readonly string[],
  tally: Tally,
): Promise<void> {
  const absent = backends.filter((name) => stateOn(name, entry.locations) === null)
  if (absent.length < backends.length) await mend(store, context, entry.key, tally)
  if (absent.length > 0) await copy(store, context, entry, absent, tally)
}

async function copy(
  store: StoreD,
  { signal }: Context,
  { key, id, size }: ListEntry,
  backends: readonly string[],
  tally: Tally,
): Promise<void> {
  try {
    // A key that is bound anew meanwhile keeps its new blob.
    const options = { key, backends, ifMatch: id, expect: { checksum: id, size }, signal } as const
    // Nothing is kept of a put that fails.
    const put = (body: Readable) => store.put(body, options)
    await readWith(store, key, { fallback: true, signal }, { mayBeginAgain: true }, put)
    tally.done++
  } catch (error) {
    signal.throwIfAborted()
    await tally.fault(error, key)
  }
}
