import type { BlobRecord } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import { bytes, time } from '../output/format.ts'
import type { Output } from '../output/output.ts'
import { Batch } from '../session/batch.ts'
import type { Context } from '../session/context.ts'
import { openSession } from '../session/open-session.ts'
import type { Outcome } from '../session/outcome.ts'

export async function run(context: Context): Promise<Outcome> {
  const { input, out } = context
  await using store = await openSession(context, { sync: false })
  const batch = new Batch(out)
  for (const name of input.args) {
    try {
      const record = await store.stat(name)
      if (!record) throw new StorageError('NOT_FOUND', { op: 'stat', key: name })
      await out.record({ type: 'blob', name, ...record })
      await print(out, name, record)
      batch.done++
    } catch (error) {
      await batch.fault(error, name)
    }
  }
  return { exit: batch.exit, summary: { found: batch.done, failed: batch.failed } }
}

async function print(out: Output, name: string, record: BlobRecord): Promise<void> {
  const { id, size, mimeType, created, modified, checksums, custom, locations, more = false } = record
  const fields = out.table([{ title: 'name' }, { title: name }])
  await fields.row('id', id)
  await fields.row('size', `${bytes(size)} (${size})`)
  await fields.row('type', mimeType)
  await fields.row('created', `${time(created)} UTC`)
  await fields.row('modified', `${time(modified)} UTC`)
  for (const [algorithm, digest] of Object.entries(checksums))
    if (algorithm !== 'sha256') await fields.row(algorithm, digest)
  for (const [field, value] of Object.entries(custom))
    await fields.row(field, typeof value === 'string' ? value : JSON.stringify(value))
  for (const { backend, key, state, verified, error } of locations)
    await fields.row(
      `on ${backend}`,
      [state, key, verified && `${time(verified)} UTC`, error?.message].filter(Boolean).join('  '),
    )
  if (more) await fields.row('and', 'more copies, of other keys: name one of them')
  await fields.end()
}
