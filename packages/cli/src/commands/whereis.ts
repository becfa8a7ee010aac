import { type BlobRecord, copiesUnder, type ListEntry, type StoreD } from '@stored/core'
import { isId, StorageError } from '@stored/core/backend'
import { stateOn } from '../copies/copy-state.ts'
import { EXIT } from '../errors/exit-codes.ts'
import { bytes } from '../output/format.ts'
import type { Context } from '../session/context.ts'
import { openSession } from '../session/open-session.ts'
import type { Outcome } from '../session/outcome.ts'

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

type Row = Pick<ListEntry, 'key' | 'id' | 'size' | 'locations'>

/** The key; else every key with a copy of the blob with this id; else every key with this prefix. */
async function* found(store: StoreD, name: string, { signal }: Context): AsyncGenerator<Row> {
  const record = await statOf(store, name)
  if (!record) yield* store.list({ prefix: name, missing: true, signal })
  else if (name !== record.id) yield { ...record, key: name }
  else yield* byKey(record)
}

/** One key's object says nothing about another key's. Objects that all keys share are shown under the id. */
function* byKey(record: BlobRecord): Generator<Row> {
  const shared = record.locations.filter(({ shared }) => shared)
  const keys = new Set(record.locations.filter((one) => !one.shared).map(({ key }) => key))
  for (const key of keys) yield { ...record, key, locations: copiesUnder(key, record.locations) }
  if (keys.size === 0) yield { ...record, key: record.id, locations: shared }
}

/** `stat` refuses a prefix such as `a/`, or an empty one, because it is not a key. */
async function statOf(store: StoreD, name: string): Promise<BlobRecord | null> {
  if (name === '' || (!isId(name) && name.endsWith('/'))) return null
  return store.stat(name)
}
