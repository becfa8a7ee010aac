import type { BlobRecord, RecordLocation, StoreD } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import { bytes, time } from '../output/format.ts'
import type { Table } from '../output/table.ts'
import { Batch } from '../session/batch.ts'
import type { Context } from '../session/context.ts'
import { openSession } from '../session/open-session.ts'
import type { Outcome } from '../session/outcome.ts'

export async function run(context: Context): Promise<Outcome> {
  const { input, out, signal } = context
  await using store = await openSession(context, { sync: false })
  const batch = new Batch(out)
  for (const name of input.args) {
    try {
      const record = await store.stat(name)
      if (!record) throw new StorageError('NOT_FOUND', { op: 'stat', key: name })
      await out.record({ type: 'blob', name, ...record })
      await print(context, store, name, record)
      batch.done++
    } catch (error) {
      signal.throwIfAborted()
      await batch.fault(error, name)
    }
  }
  return { exit: batch.exit, summary: { found: batch.done, failed: batch.failed } }
}

async function print({ input, out, signal }: Context, store: StoreD, name: string, record: BlobRecord): Promise<void> {
  const { id, key, version, size, mimeType, created, modified, checksums, custom, locations, more = false } = record
  const fields = out.table([{ title: 'name' }, { title: name }])
  await fields.row('id', id)
  if (key !== undefined && key !== name) await fields.row('as of key', key)
  if (version !== undefined) await fields.row('version', version)
  await fields.row('size', `${bytes(size)} (${size})`)
  await fields.row('type', mimeType)
  await fields.row('created', `${time(created)} UTC`)
  await fields.row('modified', `${time(modified)} UTC`)
  for (const [algorithm, digest] of Object.entries(checksums))
    if (algorithm !== 'sha256') await fields.row(algorithm, digest)
  for (const [field, value] of Object.entries(custom))
    await fields.row(field, typeof value === 'string' ? value : JSON.stringify(value))
  if (input.has('copies')) {
    for await (const copy of store.copies(name, { signal })) {
      await out.record({ type: 'copy', name, id, ...copy })
      await copyRow(fields, copy)
    }
  } else {
    for (const copy of locations) await copyRow(fields, copy)
    if (more) await fields.row('and', 'more copies, of other keys: --copies lists all')
  }
  await fields.end()
}

function copyRow(fields: Table, { backend, key, state, verified, error }: RecordLocation): Promise<void> {
  const cells = [state, key, verified && `${time(verified)} UTC`, error?.message]
  return fields.row(`on ${backend}`, cells.filter(Boolean).join('  '))
}
