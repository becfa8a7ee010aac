import { StorageError } from '@stored/core/backend'
import { EXIT } from '../errors/exit-codes.ts'
import { settle } from '../jobs/settle.ts'
import type { Context } from '../session/context.ts'
import { openSession } from '../session/open-session.ts'
import type { Outcome } from '../session/outcome.ts'

export async function run(context: Context): Promise<Outcome> {
  const { input, out, dryRun, signal } = context
  const [key = '', name = ''] = input.args
  const backends = input.texts('backend')
  const wait = !input.has('no-wait') && !dryRun
  await using store = await openSession(context, { sync: wait })
  const since = Date.now()
  const record = await store.stat(name)
  if (!record) throw new StorageError('NOT_FOUND', { op: 'link', key: name })
  const { id, mimeType, custom: metadata } = record
  if (dryRun) {
    const replaces = (await store.stat(key))?.id ?? null
    await out.tell({ type: 'plan', action: 'link', key, id, replaces }, `would link ${key} to ${id}`)
    return { exit: EXIT.ok, summary: { linked: 1 } }
  }
  const ifAbsent = input.has('if-absent')
  const named = backends.length > 0 ? { backends } : {}
  const linked = await store.link(key, id, { ...named, mimeType, metadata, ifAbsent, signal })
  const places = linked.locations.map(({ backend }) => backend)
  await out.record({ type: 'link', key, id, size: linked.size, backends: places })
  await out.exact(`${id}  ${key}`)
  return { exit: wait ? await settle(store, context, { since, keys: [key] }) : EXIT.ok, summary: { linked: 1 } }
}
