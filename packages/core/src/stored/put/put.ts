import { type ErrorLocation, StorageError } from '../../backend/error.ts'
import { is, type RulesOf } from '../../backend/rules.ts'
import { wrongSize } from '../../guard/verify.ts'
import type { BlobFacts } from '../../model/blob.ts'
import type { Logged, PutEvent } from '../../model/event.ts'
import type { Hasher } from '../../ports/checksums.ts'
import { openSource } from '../../source/open-source.ts'
import type { BlobSource, Chunks, Source } from '../../source/source.ts'
import { traced } from '../../trace.ts'
import type { Configured } from '../backends/backends.ts'
import { checkAlgorithms, checkStoreKey, ID, idKey, idOfKey, isAmongIds } from '../lookup/names.ts'
import type { Services } from '../services.ts'
import type { PutOptions } from '../types.ts'
import { jsonCopy } from './json-copy.ts'
import { type PutInput, type PutOutcome, planPut, reserved } from './plan-put.ts'
import { tellProgress } from './progress.ts'

export const PUT_OPTIONS: RulesOf<PutOptions> = {
  // What a key may be is told with INVALID_KEY.
  key: { expected: 'a key', holds: () => true },
  backends: is.names,
  metadata: is.object,
  mimeType: is.mimeType,
  checksums: is.names,
  ifAbsent: is.boolean,
  ifMatch: ID,
  expect: is.group({ checksum: ID, size: is.whole(0, undefined, 'of bytes') } satisfies RulesOf<Expected>),
  signal: is.signal,
  onProgress: is.callback,
}
/** What magic bytes need. */
const HEAD_BYTES = 4100

type Expected = NonNullable<PutOptions['expect']>

/** What a put came to. */
export interface PutDone extends PutOutcome {
  readonly key: string
  readonly event: Logged<PutEvent>
}

/** Reads the source once, then commits everything that follows from its digest. */
export async function put(
  services: Services,
  source: BlobSource,
  options: PutOptions,
  signal: AbortSignal,
): Promise<PutDone> {
  const custom = checkPut(options)
  targetsOf(services, options)
  const checking = checkFree(services, options)
  if (checking) await checking
  const opening = openSource(source, { signal, reuse: true, at: { op: 'put', key: options.key } })
  const opened = 'body' in opening ? opening : await opening
  try {
    const { size } = opened
    if (size !== undefined) checkSize(size, options)
    const making = services.checksums.hasher([...services.algorithms, ...(options.checksums ?? [])])
    const pass = new Pass('then' in making ? await making : making, opened, options)
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
    const targets = targetsOf(services, options)
    const unknown = services.backends.known()
    if (unknown) await unknown
    return await commit(services, { key, facts, staged, options, targets })
  } finally {
    opened.release()
  }
}

async function commit(services: Services, input: PutInput): Promise<PutDone> {
  const { value, position, seq } = await services.ledger.transact((tx) => planPut(services, tx, input))
  // Bytes that were deleted are kept nowhere.
  if (value.forgotten) await services.cache?.drop(value.forgotten)
  return { ...value, key: input.key, event: { ...value.event, position, seq } }
}

/** @returns The metadata as it will be kept. */
function checkPut(options: PutOptions): Readonly<Record<string, unknown>> {
  const at: ErrorLocation = { op: 'put', key: options.key }
  const refuse = (detail: string, cause?: unknown) => new StorageError('INVALID_ARGUMENT', at, { cause, detail })
  if (options.key !== undefined) checkStoreKey(options.key, { op: 'put' })
  checkAlgorithms(options.checksums ?? [], at)
  if (options.ifAbsent && options.ifMatch !== undefined) throw refuse('ifAbsent and ifMatch exclude each other')
  return options.metadata === undefined ? {} : jsonCopy(options.metadata, refuse)
}

/**
 * Refuses, before the source is read, a key that no blob may have: those below `<prefix>/sha256/` are the blobs' own. A key that
 * is bound already may be put again, with the same bytes: it was adopted, or is older than the prefix.
 */
function checkFree({ index, ledger, prefix }: Services, { key, expect }: PutOptions): Promise<void> | null {
  if (key === undefined || !isAmongIds(prefix, key)) return null
  const owner = idOfKey(prefix, key)
  if (owner !== null && (expect?.checksum ?? owner) === owner) return null
  return ledger.look((view) => {
    if (index.binding(view, key) === null) throw reserved(key, prefix)
  })
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

  bytes(): Chunks {
    const { body } = this.#source
    return Symbol.iterator in body ? this.#atOnce(body) : this.#inTime(body)
  }

  *#atOnce(body: Iterable<Uint8Array>): Generator<Uint8Array, void, void> {
    for (const read of body) {
      yield this.#take(read)
      this.#tell()
    }
  }

  async *#inTime(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
    for await (const read of body) {
      yield this.#take(read)
      this.#tell()
    }
  }

  #take(read: Uint8Array): Uint8Array {
    const { expect, key } = this.#options
    // A caller may fill its buffer again as soon as it is asked for more.
    const chunk = this.#source.keepsStill ? read : Buffer.from(read)
    this.size += chunk.length
    // Not read any further: it may have no end.
    if (expect?.size !== undefined && this.size > expect.size)
      throw wrongSize(expect.size, `${this.size} or more`, { op: 'put', key })
    this.#hasher.update(chunk)
    if (this.#headSize < HEAD_BYTES) this.#keepHead(chunk)
    return chunk
  }

  #tell(): void {
    const { key, onProgress } = this.#options
    if (onProgress) tellProgress(() => onProgress({ bytes: this.size, total: this.#source.size }), { op: 'put', key })
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
