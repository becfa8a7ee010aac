import { StorageError, toStorageError } from '../../backend/error.ts'
import { checkOptions } from '../../backend/options.ts'
import { is, type RulesOf } from '../../backend/rules.ts'
import type { BlobFacts } from '../../model/blob.ts'
import { type Damage, isRead, type Location, type Place, type Whole } from '../../model/copy.ts'
import type { Failure } from '../../model/failure.ts'
import type { Configured } from '../backends/backends.ts'
import { hexOf } from '../lookup/names.ts'
import { walk } from '../lookup/walk.ts'
import type { Services } from '../services.ts'
import type { SkippedBackend, VerifiedCopy, VerifyOptions, VerifyResult } from '../types.ts'
import { diagnose, heldBy } from './diagnose.ts'
import { Pace } from './rate-limit.ts'
import { rewrite } from './record-damage.ts'
import { decodeCursor, encodeCursor, isSampled, today } from './verify-cursor.ts'

const AT = { op: 'verify' }
const OPTIONS: RulesOf<VerifyOptions> = {
  backend: is.text,
  prefix: is.keyPart,
  after: is.anyText,
  sample: {
    expected: 'a number above 0 and up to 1',
    holds: (value) => typeof value === 'number' && value > 0 && value <= 1,
    shown: 'number',
  },
  maxBytesPerSecond: is.whole(1),
  signal: is.signal,
}
/** Copies in a row that cannot be read before a backend is given up. */
const PATIENCE = 5
/** How often a copy is read anew because it was written meanwhile. */
const OVERTAKEN_TRIES = 3

/** @returns What was checked. @throws {StorageError} INVALID_ARGUMENT. */
export function checkVerifyOptions({ backends }: Services, given: VerifyOptions): VerifyOptions {
  const options = checkOptions(given, OPTIONS, AT)
  const { backend, after } = options
  if (backend !== undefined) backends.get(backend, AT)
  if (after === undefined) return options
  const { backend: last } = decodeCursor(after, AT)
  if (!backends.has(last) || (backend !== undefined && backend !== last))
    throw new StorageError('INVALID_ARGUMENT', AT, {
      detail: `after is a cursor of backend ${JSON.stringify(last)}, which is not verified here`,
    })
  return options
}

/** One call of `verify`: what it reads with, and what it tells whoever waits for the store to change. */
interface Run {
  readonly services: Services
  readonly options: VerifyOptions
  readonly signal: AbortSignal
  readonly pace: Pace
  /** Of the sample, since the epoch: a call that goes on after midnight goes on with the same one. */
  readonly day: number
  readonly onChange: () => void
}

/** Reads copies, whole, one at a time: the backends in the order of the configuration, their copies in that of their keys. */
export async function* verify(
  services: Services,
  options: VerifyOptions,
  onChange: () => void,
  signal: AbortSignal,
): AsyncGenerator<[VerifyResult], void, void> {
  const after = options.after === undefined ? undefined : decodeCursor(options.after, AT)
  const pace = new Pace(options.maxBytesPerSecond)
  const run: Run = { services, options, signal, pace, day: after?.day ?? today(), onChange }
  await services.backends.known()
  const all = services.backends.all()
  const first = after ? all.findIndex(({ name }) => name === after.backend) : 0
  for (const configured of all.slice(Math.max(first, 0)))
    if (options.backend === undefined || options.backend === configured.name)
      yield* verifyBackend(run, configured, configured.name === after?.backend ? after.key : undefined)
}

async function* verifyBackend(run: Run, target: Configured, after: string | undefined): AsyncGenerator<[VerifyResult]> {
  let failures = 0
  for await (const location of copies(run, target, after)) {
    const result = await verifyCopy(run, target, location)
    if (!result) continue
    yield [result]
    if (result.checked || result.error?.code === 'CONFLICT') failures = 0
    else if (++failures === PATIENCE) return yield [skipped(result)]
  }
}

function skipped({ backend, error, cursor }: VerifiedCopy): SkippedBackend {
  const last = error as Failure
  const message = `the rest was skipped: ${PATIENCE} copies in a row could not be read; the last with ${last.message}`
  return { backend, key: null, checked: false, error: { code: last.code, message }, cursor }
}

async function* copies(
  { services, options: { prefix, sample = 1 }, day, signal }: Run,
  { name }: Configured,
  after: string | undefined,
): AsyncGenerator<Location> {
  const scope = { backend: name, ...(prefix !== undefined && { prefix }), ...(after !== undefined && { after }) }
  const { index, ledger } = services
  for await (const location of walk(ledger, signal, (view, from) => index.located(view, { ...scope, from })))
    if (isSampled(location.id, sample, day)) yield location
}

/** @returns `null` for a copy that is none any more, or not yet: it is being written or removed. */
async function verifyCopy(run: Run, target: Configured, place: Place): Promise<VerifiedCopy | null> {
  const { index, ledger } = run.services
  for (let left = OVERTAKEN_TRIES; ; left--) {
    const { location, facts } = await ledger.look((view) => {
      const location = index.location(view, place)
      return { location, facts: location && index.facts(view, location.id) }
    })
    if (!location || !isRead(location) || !facts) return null
    const found = await readCopy(run, target, location)
    const settled = await settle(run, location, found)
    if (settled || left === 1) return itemOf(run, location, facts, settled ?? OVERTAKEN)
  }
}

type Found = { readonly changes: Damage | Whole } | { readonly error: Failure }
const OVERTAKEN: Found = { error: { code: 'CONFLICT', message: 'it was written or removed while it was read' } }

/** What can be said of a copy: which changes its row needs, or why nothing. */
async function readCopy({ signal, pace }: Run, { backend }: Configured, location: Location): Promise<Found> {
  const passed = (bytes: number) => pace.passed(bytes, signal)
  try {
    const { stat, body } = await backend.get(location.key, { sha256: hexOf(location.id), signal })
    for await (const chunk of body) await passed(chunk.length)
    return { changes: { state: 'synced', holds: heldBy(location, stat), verified: Date.now() } }
  } catch (error) {
    signal.throwIfAborted()
    const found = await diagnose(backend, location, error, { signal, passed })
    signal.throwIfAborted()
    if (found) return { changes: found }
    const { code, message } = toStorageError(error, { ...AT, backend: location.backend, key: location.key })
    return { error: { code, message } }
  }
}

/** @returns `null` when the row changed while the copy was read: what was read may be another one. */
async function settle({ services, onChange }: Run, location: Location, found: Found): Promise<Found | null> {
  if ('error' in found) return found
  if (!(await rewrite(services, location, found.changes))) return null
  if (found.changes.state !== location.state) onChange()
  return found
}

function itemOf({ day }: Run, { backend, key, id, state }: Location, facts: BlobFacts, found: Found): VerifiedCopy {
  const { checksums, size } = facts
  const cursor = encodeCursor({ backend, key, day })
  const item = { backend, key, checksum: id, checksums, size, cursor }
  if ('error' in found) return { ...item, state, checked: false, error: found.error }
  const { changes } = found
  return { ...item, state: changes.state, checked: true, ...('error' in changes && { error: changes.error }) }
}
