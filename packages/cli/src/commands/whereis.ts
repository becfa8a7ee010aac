import type { BlobRecord, ListEntry, StoreD } from '@stored/core'
import { isId, StorageError } from '@stored/core/backend'
import type { Context } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import type { Outcome } from '../outcome.ts'
import { bytes } from '../output/format.ts'
import { openSession } from '../session.ts'

export async function run(context: Context): Promise<Outcome> {
  const { input, out } = context
  await using store = await openSession(context, { sync: false })
  const [name = ''] = input.args
  const names = (await store.listBackends()).map((backend) => backend.name)
  const table = out.table([{ title: 'size', align: 'right' }, ...names.map((title) => ({ title })), { title: 'key' }])
  let blobs = 0
  for await (const { key, id, size, locations } of found(store, name, context)) {
    const copies = Object.fromEntries(names.map((backend) => [backend, stateOn(backend, locations)]))
    await out.record({ type: 'whereis', key, id, size, copies })
    await table.row(bytes(size), ...names.map((backend) => copies[backend] ?? '-'), key)
    blobs++
  }
  await table.end()
  if (blobs === 0 && name !== '') throw new StorageError('NOT_FOUND', { op: 'whereis', key: name })
  return { exit: EXIT.ok, summary: { blobs } }
}

/** The blob of an id or a key; else all whose keys begin so. */
async function* found(
  store: StoreD,
  name: string,
  { signal }: Context,
): AsyncGenerator<BlobRecord & Pick<ListEntry, 'key'>> {
  const record = await statOf(store, name)
  if (record) yield { ...record, key: name }
  else yield* store.list({ prefix: name, missing: true, signal })
}

/** A prefix such as `a/`, or none at all, is no key, and `stat` refuses it. */
async function statOf(store: StoreD, name: string): Promise<BlobRecord | null> {
  if (name === '' || (!isId(name) && name.endsWith('/'))) return null
  return store.stat(name)
}

/** The best of them, where a blob has several keys. */
function stateOn(backend: string, locations: BlobRecord['locations']): string | null {
  const there = locations.filter((location) => location.backend === backend)
  return (there.find(({ synced }) => synced) ?? there[0])?.state ?? null
}
