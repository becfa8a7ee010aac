import { hash } from 'node:crypto'
import type { Stat } from '../../backend/contract.ts'
import { type ErrorLocation, StorageError } from '../../backend/error.ts'
import { is, type RulesOf } from '../../backend/rules.ts'
import type { GuardedBackend } from '../../guard/guarded-backend.ts'
import { bufferOf } from '../../guard/stream.ts'
import { verified } from '../../guard/verify.ts'
import type { BlobFacts, BlobId } from '../../model/blob.ts'
import { type Held, isDoubtful, type Location } from '../../model/copy.ts'
import type { View } from '../../ports/ledger.ts'
import type { Opened } from '../../ports/staging.ts'
import type { Configured } from '../backends/backends.ts'
import { factsUnder, placesToRead, syncedPlaces } from '../lookup/copies.ts'
import { copiesUnder } from '../lookup/copies-under.ts'
import { checkName, hexOf } from '../lookup/names.ts'
import type { Services } from '../services.ts'
import type { GetOptions } from '../types.ts'
import { markDamaged, mayBeginAgain, noteWhole, overtaken } from '../verify/record-damage.ts'
import { type Consumer, SMALL_BYTES } from './bodies.ts'
import { cachedBefore, keptFrom, openCached } from './cached.ts'
import type { Copy, Range } from './copy.ts'

const BYTES = is.whole(0, undefined, 'of bytes')
export const GET_OPTIONS: RulesOf<GetOptions & { stream?: boolean }> = {
  backend: is.text,
  backends: is.names,
  range: is.group({ offset: BYTES, length: BYTES }),
  fallback: is.boolean,
  stream: is.boolean,
  signal: is.signal,
}

/** How often a read begins anew because we changed its copy meanwhile, or because its bytes came wrong and are right. */
const MAX_TRIES = 5

/**
 * Reads a blob with `consume`: what is staged, else what the read cache holds, else the first synced copy in the order of the
 * configuration, else one that was found bad before. A whole blob is verified: its last chunk is held back until the digest agrees.
 *
 * @param consumer Called again with the next copy, where others may be tried, when the body that it was given fails.
 * @throws {StorageError} NOT_FOUND for an unknown id or key · RANGE_NOT_SATISFIABLE · INVALID_ARGUMENT · whatever the copy, or
 *   the consumer, fails with.
 */
export async function readBlob<T>(
  services: Services,
  idOrKey: string,
  options: GetOptions,
  signal: AbortSignal,
  consumer: Consumer<T>,
): Promise<T> {
  const at = { op: 'get', key: idOrKey }
  checkName(idOrKey, at)
  const chosen = chosenBackends(services, options, at)
  const isNear = !chosen && options.range === undefined
  let near: Readable | undefined
  if (isNear) {
    const read = await readNear(services, idOrKey, options, signal, consumer)
    if ('value' in read) return read.value
    near = read.known
  }
  return readChosen(services, idOrKey, {
    ...{ at, near, chosen },
    reading: { options, signal, isCacheAsked: isNear && isCacheFirst(services, options) },
    look: (view) => readableUnder(services, view, idOrKey),
    rangeOf: () => options.range,
    consumerOf: () => consumer,
  })
}

/** How a blob is read. */
interface Reading {
  readonly options: GetOptions
  readonly signal: AbortSignal
  /** Whether the read cache was asked for the whole blob before. */
  readonly isCacheAsked: boolean
}

/** A read of a copy that is chosen by what one view shows. */
interface ChosenRead<Known extends Readable, T> {
  readonly at: ErrorLocation
  readonly chosen: readonly Configured[] | null
  /** What was looked up already. */
  readonly near?: Known | undefined
  readonly reading: Reading
  readonly look: (view: View) => Known | null
  /** The range that is read of what the view showed; `undefined`: all of it. */
  readonly rangeOf: (known: Known) => GetOptions['range']
  readonly consumerOf: (known: Known, range: Range) => Consumer<T>
}

/** Reads a copy that a view shows; where we ourselves changed it meanwhile, begins again with a new view. */
export async function readChosen<Known extends Readable, T>(
  services: Services,
  idOrKey: string,
  { at, chosen, near, reading, look, rangeOf, consumerOf }: ChosenRead<Known, T>,
): Promise<T> {
  const { options, signal } = reading
  for (let left = MAX_TRIES, first = near; ; left--, first = undefined) {
    const known = first ?? (await services.ledger.look(look))
    if (!known) throw new StorageError('NOT_FOUND', at)
    const { size } = known.facts
    const range = rangeWithin(rangeOf(known), size, at)
    const copies = chosen
      ? copiesAt(services, chosen, idOrKey, known, options, signal, at)
      : copiesOf(services, known, reading)
    if (copies.length === 0) throw new StorageError('UNAVAILABLE', at, { detail: describeCopies(known) })
    const length = range?.length ?? size
    const consumer = consumerOf(known, range ?? { offset: 0, length: size })
    try {
      const mayFallBack = mayFallBackOn(options)
      return await readFirst(copies, range, { mayFallBack, at, signal }, length, consumer)
    } catch (error) {
      if (left === 1 || !mayBeginAgain(error)) throw error
    }
  }
}

/**
 * The backends that the caller chose, in the order that was given.
 *
 * @throws {StorageError} INVALID_ARGUMENT: one is unknown, or none is named.
 */
export function chosenBackends(
  services: Services,
  { backend, backends }: GetOptions,
  at: ErrorLocation,
): Configured[] | null {
  if (backend === undefined && backends === undefined) return null
  const fault = backend !== undefined && backends !== undefined ? 'backend and backends exclude each other' : null
  const detail = fault ?? (backends?.length === 0 ? 'backends names none' : null)
  if (detail !== null) throw new StorageError('INVALID_ARGUMENT', at, { detail })
  return services.backends.select(backends ?? [backend], at)
}

/** Whoever names several copies wants the next one when one fails. */
function mayFallBackOn({ fallback, backends }: GetOptions): boolean {
  return fallback ?? backends !== undefined
}

/**
 * Reads bytes that are staged, or in the read cache, of which nothing else need be known: half the work of a read that has a
 * choice of copies.
 *
 * @returns What is known of the copies where that was found by the way; nothing when bytes that are near could not be read.
 * @throws {StorageError} NOT_FOUND.
 */
async function readNear<T>(
  services: Services,
  idOrKey: string,
  options: GetOptions,
  signal: AbortSignal,
  consumer: Consumer<T>,
): Promise<{ readonly value: T } | { readonly known?: Readable }> {
  const { cache, ledger, staging } = services
  const isCached = cache !== undefined && isCacheFirst(services, options)
  const near = await ledger.look((view) => {
    const facts = factsUnder(services, view, idOrKey)
    if (!facts) return null
    const bytes = consumer.whole && facts.size <= SMALL_BYTES ? staging.inline(view, facts.id) : null
    const isStaged = bytes !== null || staging.has(view, facts.id)
    return {
      facts,
      bytes,
      isStaged,
      locations: isStaged || isCached ? [] : placesFor(services, view, facts.id, idOrKey, options),
    }
  })
  if (!near) throw new StorageError('NOT_FOUND', { op: 'get', key: idOrKey })
  const { facts, bytes, isStaged } = near
  if (consumer.whole && bytes && isOf(facts, bytes)) return { value: consumer.whole(bufferOf([bytes])) }
  if (isStaged) return (await readStaged(services, facts.id, signal, consumer)) ?? {}
  if (!isCached) return { known: near }
  const opened = await openCached({ cache, signal }, facts.id, () => refetch(services, facts.id, signal))
  return opened ? { value: await consumer.read(opened, opened.size) } : {}
}

function isOf({ id, size }: BlobFacts, bytes: Uint8Array): boolean {
  return bytes.byteLength === size && hash('sha256', bytes) === hexOf(id)
}

/** Where a read that tries no other copy is content with a synced one, nothing else is looked up. */
function placesFor(services: Services, view: View, id: BlobId, idOrKey: string, options: GetOptions): Location[] {
  const synced = mayFallBackOn(options) ? [] : syncedPlaces(services, view, id)
  return synced.length > 0 ? synced : placesToRead(services, view, id, idOrKey)
}

/** Whether the cache is asked before anything is known of the places of a blob: where one of them is local, they decide that. */
function isCacheFirst({ backends }: Services, { range, fallback }: GetOptions): boolean {
  return !range && !fallback && !backends.all().some(isLocal)
}

async function readStaged<T>(
  services: Services,
  id: BlobId,
  signal: AbortSignal,
  consumer: Consumer<T>,
): Promise<{ readonly value: T } | null> {
  try {
    const opened = await stagedCopy(services, id, signal).open(undefined)
    return { value: await consumer.read(opened, opened.size) }
  } catch (error) {
    if (StorageError.is(error) && !signal.aborted && error.code !== 'TOO_LARGE') return null
    throw error
  }
}

/** Opens what the read cache lost: it was synced, or it would not have been there. */
async function refetch(services: Services, id: BlobId, signal: AbortSignal): Promise<Opened> {
  const at = { op: 'get', key: id }
  const known = await services.ledger.look((view) => readableUnder(services, view, id))
  if (!known) throw new StorageError('NOT_FOUND', at)
  const [copy] = copiesOf(services, known, { options: {}, signal, isCacheAsked: true })
  if (!copy) throw new StorageError('UNAVAILABLE', at, { detail: describeCopies(known) })
  return copy.open(undefined)
}

/** A blob that is to be read. */
export interface Readable {
  readonly facts: BlobFacts
  readonly isStaged: boolean
  /** Of the name, and some others: the bytes are the same everywhere. */
  readonly locations: readonly Location[]
}

/** All of one moment: what is staged leaves with the commit that confirms its copy. */
export function readableUnder(services: Services, view: View, idOrKey: string): Readable | null {
  const facts = factsUnder(services, view, idOrKey)
  if (!facts) return null
  const { id } = facts
  const isStaged = services.staging.has(view, id)
  return { facts, isStaged, locations: placesToRead(services, view, id, idOrKey) }
}

interface Fallback {
  readonly mayFallBack: boolean
  readonly at: ErrorLocation
  readonly signal: AbortSignal
}

async function readFirst<T>(
  copies: readonly Copy[],
  range: Range | undefined,
  { mayFallBack, at, signal }: Fallback,
  length: number,
  consumer: Consumer<T>,
): Promise<T> {
  const failures: unknown[] = []
  for (const copy of copies) {
    const attempt = new Attempt(copy)
    try {
      const whole = range || !consumer.whole ? null : await copy.whole?.()
      if (whole && consumer.whole) return consumer.whole(whole)
      // One layer less around every chunk where it does not matter who failed.
      return await consumer.read(await (mayFallBack ? attempt : copy).open(range), length)
    } catch (error) {
      // Against what the consumer failed with, another copy does not help.
      if (!attempt.hasFailed || signal.aborted || mayBeginAgain(error)) throw error
      if (!mayFallBack)
        throw namingOthers(
          error,
          copies.filter((other) => other !== copy),
        )
      failures.push(error)
    }
  }
  if (failures.length === 1) throw failures[0]
  throw new StorageError('UNAVAILABLE', at, { cause: new AggregateError(failures), detail: 'every copy failed' })
}

/** Whether a copy cannot be read, or only whoever reads it could not go on. */
class Attempt {
  readonly #copy: Copy
  hasFailed = true

  constructor(copy: Copy) {
    this.#copy = copy
  }

  async open(range: Range | undefined): Promise<Opened> {
    const opened = await this.#copy.open(range)
    this.hasFailed = false
    const body = watching(opened.body[Symbol.asyncIterator](), async (error) => {
      this.hasFailed = true
      throw error
    })
    return { size: opened.size, body, [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose]() }
  }
}

/**
 * The copies on backends that the caller chose, of a key its own, or the one that all keys share. Staged bytes and the read cache are
 * none of them.
 *
 * @throws {StorageError} NOT_FOUND: there is none.
 */
function copiesAt(
  services: Services,
  chosen: readonly Configured[],
  idOrKey: string,
  known: Readable,
  options: GetOptions,
  signal: AbortSignal,
  at: ErrorLocation,
): Copy[] {
  const meant = copiesUnder(idOrKey, known.locations)
  const there = chosen.flatMap(({ name }) => meant.filter(({ backend }) => backend === name))
  const tried = bestFirst(there, mayFallBackOn(options))
  const [first, ...others] = chosen
  const place = others.length === 0 ? { ...at, backend: first?.name } : at
  if (tried.length === 0) throw new StorageError('NOT_FOUND', place, { detail: 'no copy is there' })
  return tried.map((location) => backendCopy(services, location, known.facts.size, signal))
}

/** Copies found bad before are tried where nothing else is, or behind those that are synced: no wrong byte passes. */
function bestFirst(locations: readonly Location[], mayFallBack: boolean): Location[] {
  const synced = locations.filter(({ state }) => state === 'synced')
  return synced.length === 0 || mayFallBack ? [...synced, ...locations.filter(isDoubtful)] : synced
}

function copiesOf(services: Services, known: Readable, reading: Reading): Copy[] {
  const copies = known.isStaged ? [stagedCopy(services, known.facts.id, reading.signal)] : []
  return [...copies, ...copiesOnBackends(services, known, reading, copies.length === 0)]
}

/**
 * Synced ones in the order of the configuration, the first of them through the read cache, unless it is as near as that.
 *
 * @param isOnly Whether there is nothing else: copies found bad before are then tried too, behind those that are synced. No
 *   wrong byte passes, and they may be whole.
 */
function copiesOnBackends(services: Services, known: Readable, reading: Reading, isOnly: boolean): Copy[] {
  const { options, signal } = reading
  const ordered = services.backends.all().flatMap(({ name }) => known.locations.filter((one) => one.backend === name))
  const mayFallBack = mayFallBackOn(options)
  const tried = bestFirst(ordered, mayFallBack).filter((one) => isOnly || mayFallBack || !isDoubtful(one))
  return tried.map((location, i) => {
    const copy = backendCopy(services, location, known.facts.size, signal)
    const isThrough = i === 0 && !isLocal(services.backends.get(location.backend, { op: 'get' }))
    return isThrough ? throughCache(services, known.facts, copy, reading) : copy
  })
}

function throughCache({ cache }: Services, facts: BlobFacts, copy: Copy, { signal, isCacheAsked }: Reading): Copy {
  if (!cache) return copy
  const kept = keptFrom(copy, cache, facts)
  return isCacheAsked ? kept : cachedBefore(kept, { cache, signal }, facts)
}

function isLocal({ backend }: { readonly backend: GuardedBackend }): boolean {
  return backend.capabilities.local === true
}

function stagedCopy({ staging }: Services, id: BlobId, signal: AbortSignal): Copy {
  return {
    name: 'staged bytes',
    async open(range) {
      const opened = await staging.open(id, { signal, ...range })
      const at = { op: 'get', key: id }
      if (!opened) throw overtaken(at)
      if (range) return opened
      const body = verified(opened.body, { size: opened.size, sha256: hexOf(id) }, at)
      return { size: opened.size, body, [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose]() }
    },
  }
}

function backendCopy(services: Services, location: Location, size: number, signal: AbortSignal): Copy {
  const { backend } = services.backends.get(location.backend, { op: 'get' })
  const failed = (error: unknown) => markDamaged(services, backend, location, error, signal)
  const read = async (range: Range | undefined) => {
    const options = { signal, ...(range ?? { sha256: hexOf(location.id) }) }
    const { stat, body: given } = await backend.get(location.key, options).catch(failed)
    const iterator = given[Symbol.asyncIterator]()
    const close = async () => void (await iterator.return?.())
    const isNews = !range && isDoubtful(location)
    const done = isNews ? () => noteWhole(services, location, stat) : undefined
    const body = watching(iterator, failed, { done, most: range?.length ?? size })
    return { stat, size: stat.size, body, [Symbol.asyncDispose]: close }
  }
  const whole = async () => {
    const read = await backend.read(location.key, { size, sha256: hexOf(location.id), signal }).catch(failed)
    if (read && isDoubtful(location)) await noteWhole(services, location, read.stat)
    return read?.bytes ?? null
  }
  return {
    name: location.backend,
    ...(size <= SMALL_BYTES && { whole }),
    async open(range) {
      if (!range) return read(undefined)
      // A range is not hashed: that it is of what was confirmed is all there is to go by.
      const opened = isDoubtful(location) ? null : await read(range)
      if (opened && isConfirmed(location.holds, size, opened.stat)) return opened
      await opened?.[Symbol.asyncDispose]()
      // Neither another etag nor a mark says that the bytes are others: it may have been restored, touched, or mounted anew.
      const mayBeWhole = opened === null || opened.stat.size === size
      const holds = mayBeWhole ? await confirm(services, location, await read(undefined)) : undefined
      const again = mayBeWhole && (await read(range))
      if (again && isConfirmed(holds, size, again.stat)) return again
      if (again) await again[Symbol.asyncDispose]()
      const at = { op: 'get', backend: location.backend, key: location.key }
      return failed(new StorageError('CHECKSUM_MISMATCH', at, { detail: 'somebody changed it' }))
    },
  }
}

/** Reads a copy to its end, which verifies it, and notes the etag that it has now. */
async function confirm(
  services: Services,
  location: Location,
  { stat, body }: Pick<Opened, 'body'> & { readonly stat: Stat },
): Promise<Held | undefined> {
  for await (const _ of body);
  return (await noteWhole(services, location, stat)).holds
}

function isConfirmed(holds: Held | undefined, size: number, stat: Stat): boolean {
  return stat.size === size && (holds?.etag === undefined || holds.etag === stat.etag)
}

/**
 * @param o.done Called when all of it was read.
 * @param o.most How many bytes it should have. What goes on is another blob: it is read to its end, which says so, and not passed on.
 */
async function* watching(
  iterator: AsyncIterator<Uint8Array>,
  failed: (error: unknown) => Promise<never>,
  { done, most = Number.POSITIVE_INFINITY }: { done?: (() => Promise<unknown>) | undefined; most?: number } = {},
): AsyncGenerator<Uint8Array> {
  let left = most
  try {
    for await (const chunk of { [Symbol.asyncIterator]: () => iterator }) {
      left -= chunk.length
      if (left >= 0) yield chunk
    }
  } catch (error) {
    await failed(error)
  }
  await done?.()
}

function rangeWithin(range: GetOptions['range'], size: number, at: ErrorLocation): Range | undefined {
  if (range === undefined) return undefined
  const { offset = 0, length = size } = range
  if (offset > 0 && offset >= size)
    throw new StorageError('RANGE_NOT_SATISFIABLE', at, { detail: `offset ${offset} of ${size} bytes` })
  return { offset, length: Math.min(length, size - offset) }
}

function namingOthers(error: unknown, others: readonly Copy[]): unknown {
  if (others.length === 0 || !StorageError.is(error) || error.code === 'ABORTED') return error
  const names = others.map(({ name }) => name).join(', ')
  return new StorageError(error.code, error.at, {
    cause: error,
    detail: `other copies: ${names}; the option fallback reads them`,
  })
}

function describeCopies({ locations }: Readable): string {
  const states = locations.map(({ backend, state }) => `${backend} is ${state}`)
  return `no copy can be read: ${states.join(', ') || 'there is none'}`
}
