import type { StoreD } from '@stored/core'
import { EXIT } from '../errors/exit-codes.ts'
import { bytes, count } from '../output/format.ts'
import type { Context } from '../session/context.ts'
import { openSession } from '../session/open-session.ts'
import type { Outcome } from '../session/outcome.ts'

export async function run(context: Context): Promise<Outcome> {
  const which = context.input.first
  await using store = await openSession(context, { sync: false })
  if (context.dryRun) return await plan(store, which, context)
  const evicted = await store.cache.evict(which)
  return {
    exit: EXIT.ok,
    text: `evicted ${count(evicted.entries, 'blob')}, ${bytes(evicted.bytes)}`,
    summary: { ...evicted },
  }
}

async function plan(store: StoreD, which: string, { out, signal }: Context): Promise<Outcome> {
  const entries = await store.cache.evictable(which)
  let total = 0
  for (const { id, size } of entries) {
    signal.throwIfAborted()
    total += size
    const { locations = [], more = false } = (await store.stat(id)) ?? {}
    const keys = [...new Set(locations.map(({ key }) => key))]
    const text = `would evict ${id}  ${bytes(size)}  ${keys.join(', ')}`.trimEnd()
    const others = `, and others, which stored stat ${id} --copies lists`
    await out.tell(
      { type: 'plan', action: 'cache evict', id, size, keys, ...(more && { more }) },
      more ? text + others : text,
    )
  }
  return {
    exit: EXIT.ok,
    text: `would evict ${count(entries.length, 'blob')}, ${bytes(total)}`,
    summary: { entries: entries.length, bytes: total },
  }
}
