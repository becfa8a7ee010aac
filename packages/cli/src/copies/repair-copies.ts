import type { RepairedCopy, StoreD } from '@stored/core'
import { recordedError } from '../errors/recorded-error.ts'
import type { Batch } from '../session/batch.ts'
import type { Context } from '../session/context.ts'

/** Repairs the copies of one name and reports the result of each. @returns Whether all succeeded. */
export async function repairCopies(
  store: StoreD,
  { out, signal }: Context,
  name: string,
  batch: Batch,
): Promise<boolean> {
  try {
    const { id, copies } = await store.repair(name, {
      signal,
      onProgress: ({ bytes, total }) => out.progress.show({ title: 'repair', done: bytes, total, note: name }),
    })
    await out.record({ type: 'repair', name, id, copies })
    const failed = copies.filter(({ outcome }) => outcome === 'failed')
    for (const copy of copies) if (copy.outcome !== 'failed') await out.line(lineOf(copy))
    if (copies.length === 0) out.note(`no copy of ${name} is known to be damaged; stored verify looks for damage`)
    for (const { error, key } of failed) if (error) await batch.fault(recordedError(error), key)
    if (copies.length > failed.length) batch.done++
    return failed.length === 0
  } catch (error) {
    signal.throwIfAborted()
    await batch.fault(error, name)
    return false
  } finally {
    out.progress.end()
  }
}

function lineOf({ backend, key, outcome, kept }: RepairedCopy): string {
  const aside = kept === undefined ? '' : `, and the changed file is kept as ${kept}`
  if (outcome === 'whole') return `whole     ${backend}  ${key}`
  if (outcome === 'overtaken') return `overtaken ${backend}  ${key}${aside}`
  return `replaced  ${backend}  ${key}${aside}`
}
