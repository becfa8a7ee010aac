import type { ListEntry, StoreD } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import { loadConfiguration } from '../configuration.ts'
import type { Context } from '../context.ts'
import type { Outcome } from '../outcome.ts'
import { count, shortId } from '../output/format.ts'
import { openConfigured } from '../session.ts'
import { settle } from '../settle.ts'
import { stateOn } from '../state-on.ts'
import { Tally, worse } from '../tally.ts'

/** What a new copy may be put in the place of: elsewhere lies something, or is on its way. */
const REPLACED: readonly (string | null)[] = [null, 'missing', 'corrupt']

/** Backends in the order they are to be chosen, and how many of them shall have a copy. */
interface Goal {
  readonly choice: readonly string[]
  readonly want: number
}

export async function run(context: Context): Promise<Outcome> {
  const { input, out, dryRun, signal } = context
  const isFixing = input.has('fix') && !dryRun
  const wait = isFixing && !input.has('no-wait')
  const loaded = await loadConfiguration(context)
  await using store = await openConfigured(loaded, { sync: wait })
  const all = (await store.listBackends()).map(({ name }) => name)
  const goal = goalOf(input.count('want', 1), loaded.config.defaultBackends ?? all, all)
  const tally = new Tally(out)
  const since = Date.now()
  const unknown = new Set<string>()
  let short = 0
  for await (const entry of store.list({ signal })) {
    const { have, fix, doubtful } = shortage(entry, goal)
    if (have >= goal.want) continue
    for (const name of doubtful) unknown.add(name)
    short++
    await tell(context, entry, { have, want: goal.want, fix: input.has('fix') ? fix : [] })
    if (isFixing && fix.length > 0) await copy(store, context, entry, fix, tally)
  }
  for (const name of unknown) out.note(`some copies on ${name} are unknown: stored verify --backend ${name} tells`)
  const exit = wait && tally.done > 0 ? worse(tally.exit, await settle(store, context, { since })) : tally.exit
  const fixed = isFixing ? `, ${tally.done} given copies` : ''
  return {
    exit,
    text: `${count(short, 'blob')} with too few copies${fixed}`,
    summary: { short, fixed: tally.done, failed: tally.failed },
  }
}

function goalOf(want: number | undefined, defaults: readonly string[], all: readonly string[]): Goal {
  if (want === undefined) return { choice: defaults, want: defaults.length }
  if (want <= all.length) return { choice: [...new Set([...defaults, ...all])], want }
  const detail = `${want} copies are more than the ${all.length} backends`
  throw new StorageError('INVALID_ARGUMENT', { op: 'copies' }, { detail })
}

function shortage(
  { locations }: ListEntry,
  { choice, want }: Goal,
): { have: number; fix: string[]; doubtful: string[] } {
  const states = choice.map((name) => [name, stateOn(name, locations)] as const)
  const have = states.filter(([, state]) => state === 'synced').length
  const coming = states.filter(([, state]) => state === 'pending').length
  const doubtful = states.filter(([, state]) => state === 'unknown').map(([name]) => name)
  const free = states.filter(([, state]) => REPLACED.includes(state)).map(([name]) => name)
  return { have, fix: free.slice(0, Math.max(0, want - have - coming)), doubtful }
}

async function tell(
  { out, dryRun }: Context,
  { key, id }: ListEntry,
  o: { have: number; want: number; fix: string[] },
): Promise<void> {
  await out.record({ type: 'copies', key, id, ...o })
  const fix = o.fix.length === 0 ? '' : `  ${dryRun ? 'would go' : 'goes'} to ${o.fix.join(', ')}`
  await out.line(`${o.have} of ${o.want}  ${shortId(id)}  ${key}${fix}`)
}

async function copy(
  store: StoreD,
  { signal }: Context,
  { key, id, size }: ListEntry,
  backends: readonly string[],
  tally: Tally,
): Promise<void> {
  try {
    const body = await store.get(key, { stream: true, fallback: true, signal })
    // A key that is bound anew meanwhile keeps its new blob.
    await store.put(body, { key, backends, ifMatch: id, expect: { checksum: id, size }, signal })
    tally.done++
  } catch (error) {
    signal.throwIfAborted()
    await tally.fault(error, key)
  }
}
