import {
  type BlobId,
  type Claimed,
  isDoubtful,
  type Location,
  noteDamage,
  type Opened,
  placesOfEach,
} from '@stored/core'
import { StorageError } from '@stored/core/backend'
import { placeKey } from '../queue/keys.ts'
import type { Services } from './services.ts'

/** Copies on each backend, of each standing, that are tried as sources. */
const SOME = 100

/** The bytes of a job, and which of those that have them delivers them. */
export interface Source extends Opened {
  readonly name: string
  /**
   * Looks into what a read failed with. That may take as long as reading: to be called once no backend waits for the bytes, or it
   * would count as stalled.
   *
   * @returns What the read failed with, as it is known then. Never rejects.
   */
  explain?(error: unknown): Promise<unknown>
}

/**
 * Opens the bytes of a job: what is staged, else a copy that another backend confirmed.
 *
 * @param failed What sources failed with while they were read: they are not opened again.
 * @throws {StorageError} NOT_FOUND: there are none · UNAVAILABLE: those there are cannot be opened now · what the first of `failed`
 *   failed with: there is no other.
 */
export async function openCopy(
  services: Services,
  job: Claimed,
  signal: AbortSignal,
  failed: ReadonlyMap<string, unknown> = new Map(),
): Promise<Source> {
  const failures: unknown[] = []
  for await (const open of sourcesOf(services, job, signal, failed)) {
    try {
      const opened = await open()
      if (opened && !failed.has(opened.name)) return opened
      await opened?.[Symbol.asyncDispose]()
    } catch (error) {
      signal.throwIfAborted()
      failures.push(error)
    }
  }
  const at = { backend: job.backend, op: job.op, key: job.key }
  if (failures.length === 0 && failed.size > 0) throw [...failed.values()][0]
  if (failures.length === 0)
    throw new StorageError('NOT_FOUND', at, { detail: 'its bytes are neither staged nor on another backend' })
  // What ails a source must not be taken for what ails the target.
  throw new StorageError('UNAVAILABLE', at, { cause: new AggregateError(failures), detail: 'its bytes cannot be read' })
}

/** Copies are looked up behind what is staged: the one that it was released for is among them. */
async function* sourcesOf(
  services: Services,
  { id, backend }: Claimed,
  signal: AbortSignal,
  failed: ReadonlyMap<string, unknown>,
) {
  yield async () => {
    const toClone = services.backends.get(backend)?.backend.capabilities.usesFile === true
    const staged = await services.staging.open(id, { signal, toClone })
    // Kept once more, they are other bytes, and may be whole where these were not.
    return staged && { name: `staged ${staged.rev}`, ...staged }
  }
  const places = await services.ledger.look((view) =>
    (['synced', 'former', 'missing', 'wrong'] as const).flatMap((standing) =>
      placesOfEach(services, view, id, standing, SOME),
    ),
  )
  const others = places.filter((other) => other.backend !== backend)
  // What was found bad may be whole again, and no wrong byte passes: better tried than given up.
  for (const copy of [...others.filter(({ state }) => state === 'synced'), ...others.filter(isDoubtful)]) {
    const name = placeKey(copy).toString()
    if (failed.has(name)) continue
    yield async () => {
      const opened = await openOnBackend(services, id, copy, signal)
      return opened && { name, ...opened }
    }
  }
}

/** A copy that turns out to be damaged or gone is written down as that, as by any other read. */
async function openOnBackend(
  services: Services,
  id: BlobId,
  copy: Location,
  signal: AbortSignal,
): Promise<Omit<Source, 'name'> | null> {
  const { backend } = services.backends.get(copy.backend) ?? {}
  if (!backend) return null
  const explain = async (error: unknown): Promise<unknown> => {
    const found = await noteDamage(services, backend, copy, error, { signal })
    return isWrong(error) && (found === null || found.state === 'synced') ? misread(error) : error
  }
  const options = { sha256: id.slice('sha256:'.length), signal }
  const { stat, body } = await backend.get(copy.key, options).catch(async (error: unknown) => {
    throw await explain(error)
  })
  return { size: stat.size, body, explain, [Symbol.asyncDispose]: async () => {} }
}

/** Wrong bytes of a copy that is not known to be damaged: the next try may well read the right ones. */
function misread(cause: StorageError): StorageError {
  return new StorageError('UNAVAILABLE', cause.at, { cause, detail: 'its bytes were read wrong' })
}

function isWrong(error: unknown): error is StorageError {
  return StorageError.is(error) && (error.code === 'CHECKSUM_MISMATCH' || error.code === 'SIZE_MISMATCH')
}
