import { stat } from 'node:fs/promises'
import path from 'node:path'
import { checkOptions, is, type RulesOf } from '@stored/core/backend'
import { ExclusiveIndex, requireFormat } from '@stored/lmdb'
import { requireRuntime } from './open-store.ts'
import { STORE_RULES, type StoreLocation, whereIs } from './store-location.ts'

const AT = { op: 'compact' }

/** What compactStore() takes. */
export interface CompactOptions extends StoreLocation {
  /** Only say how much would remain. @default false */
  dryRun?: boolean
}

const OPTIONS: RulesOf<CompactOptions> = { ...STORE_RULES, dryRun: is.boolean }

/** The size of an index file, in bytes. */
export interface Compacted {
  readonly before: number
  /** Of a dry run `null`: it shows only once it is done. */
  readonly after: number | null
}

/**
 * Shrinks the index of a store: LMDB keeps pages that became free, and its file never gets smaller by itself. A copy without them is
 * written beside the index and put in its place by one rename.
 *
 * Nobody may have the store open, and nobody can open it meanwhile.
 *
 * @throws {StorageError} NOT_FOUND: there is no store · CONFLICT: a process has it open · NO_SPACE: there is no room for a second index ·
 *   INCOMPATIBLE: the store has another format.
 */
export async function compactStore(options: CompactOptions): Promise<Compacted> {
  requireRuntime()
  const { dryRun, ...where } = checkOptions(options, OPTIONS, AT)
  const file = path.join(path.resolve(where.path), 'index.mdb')
  const index = await ExclusiveIndex.open(whereIs(where))
  try {
    requireFormat(index.format)
    const { size: before } = await stat(file)
    if (dryRun) await index.requireReplaceable()
    else await index.compact()
    return { before, after: dryRun ? null : (await stat(file)).size }
  } finally {
    await index.close()
  }
}
