import { type ErrorLocation, StorageError } from '../../backend/error.ts'
import { is, type RulesOf } from '../../backend/rules.ts'
import { wrongSize } from '../../guard/verify.ts'
import type { BlobFacts, BlobId } from '../../model/blob.ts'
import { isObjectOf, leavesTry } from '../../model/copy.ts'
import type { Logged, PutEvent } from '../../model/event.ts'
import type { Binding } from '../../model/key.ts'
import type { Hasher } from '../../ports/checksums.ts'
import type { Staged } from '../../ports/staging.ts'
import { retryOnConflict } from '../../retry-on-conflict.ts'
import { openSource } from '../../source/open-source.ts'
import type { BlobSource, Source } from '../../source/source.ts'
import { traced } from '../../trace.ts'
import type { Configured } from '../backends/backends.ts'
import { vacate } from '../delete/vacate.ts'
import { checkStoreKey, ID, idKey, idOfKey, isAmongIds } from '../lookup/names.ts'
import type { Services } from '../services.ts'
import type { PutOptions } from '../types.ts'
import { expectShare } from './expect-share.ts'
import { jsonCopy } from './json-copy.ts'
import { type PutPlan, type PutPlanInput, planPut, type Target } from './plan-put.ts'
import { tellProgress } from './progress.ts'
import { expectBegun, readTries } from './tries.ts'

export const PUT_OPTIONS: RulesOf<PutOptions> = {
  // What a key may be is told with INVALID_KEY.
  key: { expected: 'a key', holds: () => true },
  backends: is.names,
  metadata: is.object,
  mimeType: is.mimeType,
  ifAbsent: is.boolean,
  ifMatch: ID,
  expect: is.group({ checksum: ID, size: is.whole(0, undefined, 'of bytes') } satisfies RulesOf<Expected>),
  signal: is.signal,
  onProgress: is.callback,
}
/** What magic bytes need. */
const HEAD_BYTES = 4100

type Expected = NonNullable<PutOptions['expect']>

export interface PutOutcome {
  readonly key: string
  readonly plan: PutPlan
  readonly event: Logged<PutEvent>
}

/** Reads the source once, then commits everything that follows from its digest. */
export async function put(
  services: Services,
  source: BlobSource,
  options: PutOptions,
  signal: AbortSignal,
): Promise<PutOutcome> {
  const custom = checkPut(options)
  targetsOf(services, options)
  await checkFree(services, options)
  const opened = await openSource(source, { signal, reuse: true, at: { op: 'put', key: options.key } })
  try {
    const { size } = opened
    if (size !== undefined) checkSize(size, options)
    const pass = new Pass(services.checksums.hasher(['sha256', ...services.algorithms]), opened, options)
    // Where nobody syncs there is nothing to wait for.
    const whenFull = services.syncer.attended ? services.whenFull : 'refuse'
    await using staged = await traced(
      'stage',
      { key: options.key },
      () => services.staging.receive(pass.bytes(), { signal, size, whenFull }),
      (received) => received.size,
    )
    const facts = factsOf(services, pass, opened, options, custom)
    checkExpected(facts, options)
    const key = options.key ?? idKey(services.prefix, facts.id)
    const commit = () => commitPut(services, key, facts, staged, options)
    return await services.turns.take(key, () => services.turns.take(facts.id, commit))
  } finally {
    opened.release()
  }
}

/** @returns The metadata as it will be kept. */
function checkPut(options: PutOptions): Readonly<Record<string, unknown>> {
  const at: ErrorLocation = { op: 'put', key: options.key }
  const refuse = (detail: string, cause?: unknown) => new StorageError('INVALID_ARGUMENT', at, { cause, detail })
  if (options.key !== undefined) checkStoreKey(options.key, { op: 'put' })
  if (options.ifAbsent && options.ifMatch !== undefined) throw refuse('ifAbsent and ifMatch exclude each other')
  return options.metadata === undefined ? {} : jsonCopy(options.metadata, refuse)
}

/**
 * Refuses, before the source is read, a key that no blob may have: those below `<prefix>/sha256/` are the blobs' own. A key that
 * is bound already may be put again, with the same bytes: it was adopted, or is older than the prefix.
 */
async function checkFree({ index, prefix }: Services, { key, expect }: PutOptions): Promise<void> {
  if (key === undefined || !isAmongIds(prefix, key)) return
  const owner = idOfKey(prefix, key)
  if (owner !== null && (expect?.checksum ?? owner) === owner) return
  if ((await index.binding(key)) === null) throw reserved(key, prefix)
}

/** The same once the blob is known. */
function checkOwn({ prefix }: Services, key: string, id: BlobId, bound: Binding | null): void {
  if (isAmongIds(prefix, key) && key !== idKey(prefix, id) && bound?.id !== id) throw reserved(key, prefix)
}

function reserved(key: string, prefix: string): StorageError {
  const detail = `keys below ${JSON.stringify(`${prefix}/sha256/`)} are for blobs named by their checksum: each blob may use only its own`
  return new StorageError('INVALID_KEY', { op: 'put', key }, { detail })
}

/**
 * Where copies shall be. The put is refused early if there is nowhere, and asks again as it commits: a backend may have been
 * removed while the source was read, and by default what remains is enough.
 */
function targetsOf({ backends, defaultBackends }: Services, { backends: names, key }: PutOptions): Configured[] {
  const at = { op: 'put', key }
  if (names !== undefined) {
    if (names.length > 0) return backends.select(names, at)
    throw new StorageError('INVALID_ARGUMENT', at, { detail: 'a blob needs at least one backend' })
  }
  const all = backends.all()
  const targets = defaultBackends === undefined ? all : all.filter(({ name }) => defaultBackends.includes(name))
  if (targets.length > 0) return targets
  const detail = all.length === 0 ? 'the store has no backend' : 'none of its default backends is left; name others'
  throw new StorageError('INVALID_ARGUMENT', at, { detail })
}

/** @param size Of all bytes. */
function checkSize(size: number, { expect, key }: PutOptions): void {
  if (expect?.size !== undefined && expect.size !== size) throw wrongSize(expect.size, size, { op: 'put', key })
}

function checkExpected({ id, size }: BlobFacts, options: PutOptions): void {
  checkSize(size, options)
  const { expect, key } = options
  const at = { op: 'put', key }
  if (expect?.checksum !== undefined && expect.checksum !== id)
    throw new StorageError('CHECKSUM_MISMATCH', at, { detail: `expected ${expect.checksum}, got ${id}` })
}

function factsOf(
  { mimeTypeOf }: Services,
  pass: Pass,
  { path }: Source,
  { key, mimeType }: PutOptions,
  custom: Readonly<Record<string, unknown>>,
): BlobFacts {
  const checksums = pass.digests()
  const now = Date.now()
  return {
    id: `sha256:${checksums.sha256}`,
    checksums,
    size: pass.size,
    mimeType: mimeType ?? mimeTypeOf(pass.head(), { key, path }),
    created: now,
    modified: now,
    custom,
  }
}

/** The one pass over the bytes: digests, size and the head for the MIME type. */
class Pass {
  readonly #hasher: Hasher
  readonly #source: Source
  readonly #options: PutOptions
  readonly #head: Uint8Array[] = []
  #headSize = 0
  size = 0

  constructor(hasher: Hasher, source: Source, options: PutOptions) {
    this.#hasher = hasher
    this.#source = source
    this.#options = options
  }

  async *bytes(): AsyncGenerator<Uint8Array> {
    const { body, keepsStill, size: total } = this.#source
    const { expect, key, onProgress } = this.#options
    const at = { op: 'put', key }
    for await (const read of body) {
      // A caller may fill its buffer again as soon as it is asked for more.
      const chunk = keepsStill ? read : Buffer.from(read)
      this.size += chunk.length
      // Not read any further: it may have no end.
      if (expect?.size !== undefined && this.size > expect.size)
        throw wrongSize(expect.size, `${this.size} or more`, at)
      this.#hasher.update(chunk)
      if (this.#headSize < HEAD_BYTES) this.#keepHead(chunk)
      yield chunk
      if (onProgress) tellProgress(() => onProgress({ bytes: this.size, total }), at)
    }
  }

  head(): Uint8Array {
    return this.#head.length === 1 ? (this.#head[0] as Uint8Array) : Buffer.concat(this.#head)
  }

  digests() {
    return this.#hasher.digest()
  }

  #keepHead(chunk: Uint8Array): void {
    // A copy: the source may use its buffer again.
    const part = Buffer.from(chunk.subarray(0, HEAD_BYTES - this.#headSize))
    this.#head.push(part)
    this.#headSize += part.length
  }
}

/** Reads, decides and commits; again when a row changed in between. */
function commitPut(
  services: Services,
  key: string,
  facts: BlobFacts,
  staged: Staged,
  options: PutOptions,
): Promise<PutOutcome> {
  const { mimeType, ifAbsent = false, ifMatch } = options
  const { index, ledger, queue, staging } = services
  return retryOnConflict(async () => {
    const targets = targetsOf(services, options)
    const [bound, known, places] = await Promise.all([
      index.binding(key),
      index.known(facts.id),
      Promise.all(targets.map((target) => readTarget(services, target, key, facts.id))),
    ])
    checkOwn(services, key, facts.id, bound)
    const former = await readFormer(services, key, bound, facts.id)
    const explicitMimeType = mimeType !== undefined
    const input = { key, facts, explicitMimeType, bound, known, former, targets: places, ifAbsent, ifMatch }
    const plan = await planOf(index, input)
    const event = putEvent(key, plan)
    const { seq, position } = await ledger.transact((tx) => {
      index.expect(tx, { key }, bound?.rev ?? null)
      index.expect(tx, { facts: facts.id }, known?.factsRev ?? null)
      // Its other places may settle meanwhile, as long as the bytes stay owed, or not, and a copy is there, or none.
      const isOwed = plan.jobs.some(({ op }) => op === 'put')
      if (known && !isOwed) index.expectPlace(tx, { id: facts.id, standing: 'owing' }, plan.keeps)
      if (known && plan.keeps) index.expectPlace(tx, { id: facts.id, standing: 'synced' }, plan.marks)
      for (const { place, location, begun } of places) {
        index.expect(tx, { place }, location?.rev ?? null)
        if (leavesTry(location, facts.id)) expectBegun(queue, tx, place, begun)
      }
      index.keep(tx, plan.facts)
      index.bind(tx, key, facts.id)
      for (const location of plan.locations) index.locate(tx, location)
      for (const job of plan.jobs) queue.enqueue(tx, job)
      for (const place of plan.gone) vacate(services, tx, place)
      if (plan.keeps) staging.keep(tx, facts.id, staged)
      if (plan.marks) staging.markReleasable(tx, facts.id)
      ledger.record(tx, event)
      if (!former || !plan.former) return
      if (former.hasOtherKeys) expectShare(tx, index, former.known, former.own, !plan.former.release)
      else index.expect(tx, { id: former.known.facts.id }, former.known.rev)
      former.tries.expect(tx)
      if (plan.former.forget) index.forget(tx, former.known.facts.id)
      // Written again, so that whoever decides by its keys at the same moment decides anew.
      else index.keep(tx, plan.former.facts)
      if (plan.former.release) staging.release(tx, former.known.facts.id)
    })
    // Bytes that were deleted are kept nowhere.
    if (former && plan.former?.forget) await services.cache?.drop(former.known.facts.id)
    return { key, plan, event: { ...event, seq, position } }
  })
}

/** Rows are read one after the other, and together they may never have been so: what refuses the put must still be there. */
async function planOf(index: Services['index'], input: PutPlanInput): Promise<PutPlan> {
  try {
    return planPut(input)
  } catch (error) {
    const { key, bound, targets } = input
    let isStill = (await index.binding(key))?.rev === bound?.rev
    for (const { place, location } of targets) isStill &&= (await index.location(place))?.rev === location?.rev
    throw isStill ? error : new StorageError('CONFLICT', { op: 'commit', key }, { cause: error })
  }
}

function putEvent(key: string, { facts, isNew }: PutPlan): PutEvent {
  return { type: 'put', checksum: facts.id, key, size: facts.size, isNew, time: Date.now() }
}

async function readTarget(
  { backends, index, queue }: Services,
  target: Configured,
  key: string,
  id: BlobId,
): Promise<Target> {
  const place = backends.placeOf(target, key, id)
  const location = await index.location(place)
  // What a job that is replaced may have left there matters; one of the same blob that still waits is not.
  const begun = leavesTry(location, id) && (await queue.ledger.look((view) => queue.begun(view, place)))
  return { place, shared: target.layout === 'id', location, begun }
}

async function readFormer({ index, queue }: Services, key: string, bound: Binding | null, id: BlobId) {
  if (!bound || bound.id === id) return null
  const known = await index.known(bound.id)
  if (!known) return null
  const hasOthers = await hasOtherKeys(index, bound.id, [key])
  const own = hasOthers ? known.locations.filter((location) => isObjectOf(location, key)) : known.locations
  const tries = await readTries(queue, own)
  return { known, own, hasOtherKeys: hasOthers, begun: tries.begun, tries }
}

/** Whether the blob is bound to a key beside these. */
export async function hasOtherKeys(index: Services['index'], id: BlobId, keys: readonly string[]): Promise<boolean> {
  const these = new Set(keys)
  for await (const key of index.keys(id)) if (!these.has(key)) return true
  return false
}
