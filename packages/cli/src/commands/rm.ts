import type { StoreD } from '@stored/core'
import { isId, StorageError } from '@stored/core/backend'
import { EXIT, type ExitCode, firstFailure } from '../errors/exit-codes.ts'
import { settle } from '../jobs/settle.ts'
import { count } from '../output/format.ts'
import { Batch } from '../session/batch.ts'
import type { Context } from '../session/context.ts'
import { openSession } from '../session/open-session.ts'
import type { Outcome } from '../session/outcome.ts'

export async function run(context: Context): Promise<Outcome> {
  const { input, dryRun, signal } = context
  const wait = !input.has('no-wait') && !dryRun
  await using store = await openSession(context, { sync: wait })
  const batch = new Batch(context.out)
  const since = Date.now()
  for (const argument of input.args) {
    let isAny = false
    for await (const name of namesOf(store, argument, context)) {
      signal.throwIfAborted()
      isAny = true
      await removeOne(store, name, context, batch)
    }
    // Do not report a misspelt name as removed.
    if (!isAny) await batch.fault(new StorageError('NOT_FOUND', { op: 'delete', key: argument }), argument)
  }
  const settled: ExitCode = wait && batch.done > 0 ? await settle(store, context, { since }) : EXIT.ok
  const { done, failed } = batch
  const [drop, remove] = dryRun ? ['would drop', 'would remove'] : ['dropped', 'removed']
  const what = input.texts('backend').length > 0 ? `${drop} copies of` : remove
  const text = `${what} ${count(done, 'name')}${failed > 0 ? `, ${count(failed, 'failure')}` : ''}`
  return { exit: firstFailure(batch.exit, settled), ...(done + failed !== 1 && { text }), summary: { done, failed } }
}

/** What an argument names; with `-r`, everything below it, which may be nothing. */
async function* namesOf(store: StoreD, argument: string, { input, signal }: Context): AsyncGenerator<string> {
  if (!input.has('recursive')) {
    yield argument
    return
  }
  if (!argument.endsWith('/') && (await store.stat(argument))) yield argument
  // Removing listed keys does not disturb the listing: it resumes after the last key.
  for await (const { key } of store.list({ prefix: folder(argument), missing: true, signal })) yield key
}

function folder(name: string): string {
  return name.endsWith('/') ? name : `${name}/`
}

async function absent(store: StoreD, key: string): Promise<StorageError> {
  const [below] = await Array.fromAsync(store.list({ prefix: folder(key), missing: true, limit: 1 }))
  return new StorageError(
    'NOT_FOUND',
    { op: 'delete', key },
    below && { detail: 'keys exist below it: -r removes them' },
  )
}

async function removeOne(
  store: StoreD,
  name: string,
  { input, out, dryRun, signal }: Context,
  batch: Batch,
): Promise<void> {
  const backends = input.texts('backend')
  try {
    if (!(await store.stat(name))) throw await absent(store, name)
    const options = { signal, dryRun, ...(backends.length > 0 && { backends }) }
    const { deleted, pending } = await store.delete(name, options)
    if (dryRun) {
      const keys = isId(name) && backends.length === 0 ? ` and its ${count(deleted.length, 'key')}` : ''
      const from = pending.length === 0 ? '' : ` from ${pending.join(', ')}`
      await out.tell({ type: 'plan', action: 'rm', name, deleted, from: pending }, `would remove ${name}${keys}${from}`)
      batch.done++
      return
    }
    await out.tell({ type: 'delete', name, deleted, pending }, `removed ${name}`)
    batch.done++
  } catch (error) {
    signal.throwIfAborted()
    await batch.fault(error, name)
  }
}
