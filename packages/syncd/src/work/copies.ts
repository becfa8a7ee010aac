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

/** Copies on each backend, of each state, that are tried as sources. */
const SOME = 100

/** The bytes of a job, and the source that delivers them. */
export interface Source extends Opened {
  readonly name: string
  /**
   * Investigates a failed read. That may take as long as reading: call it when no backend is waiting for the bytes, or
   * it would count as stalled.
   *
   * @returns The read's error, as far as it is known then. Never rejects.
   */
  explain?(error: unknown): Promise<unknown>
}

/**
 * Opens the bytes of a job: the staged bytes, else a confirmed copy on another backend.
 *
 * @param failed Errors of sources that failed while being read: they are not opened again.
 * @throws {StorageError} NOT_FOUND: there are none · UNAVAILABLE: none of them can be opened now · the first error in
 *   `failed`: there is no other source.
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
  // A source's error must not be mistaken for the target's.
  throw new StorageError('UNAVAILABLE', at, { cause: new AggregateError(failures), detail: 'its bytes cannot be read' })
}

/** Copies are looked up after the staged bytes: the copy for which those were released is among them. */
async function* sourcesOf(
  services: Services,
  { id, backend }: Claimed,
  signal: AbortSignal,
  failed: ReadonlyMap<string, unknown>,
) {
  yield async () => {
    const toClone = services.backends.get(backend)?.backend.capabilities.usesFile === true
    const staged = await services.staging.open(id, { signal, toClone })
    // If staged again, they are other bytes, and may be intact where these were not.
    return staged && { name: `staged ${staged.rev}`, ...staged }
  }
  const places = await services.ledger.look((view) =>
    (['synced', 'former', 'missing', 'wrong'] as const).flatMap((standing) =>
      placesOfEach(services, view, id, standing, SOME),
    ),
  )
  const others = places.filter((other) => other.backend !== backend)
  // A copy found bad may be intact again, and no wrong byte passes, so try it rather than give up.
  for (const copy of [...others.filter(({ state }) => state === 'synced'), ...others.filter(isDoubtful)]) {
    const name = placeKey(copy).toString()
    if (failed.has(name)) continue
    yield async () => {
      const opened = await openOnBackend(services, id, copy, signal)
      return opened && { name, ...opened }
    }
  }
}

/** A copy that turns out to be damaged or gone is recorded as such, as by any other read. */
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
