import type { FaultRates } from '@stored/conformance'
import type { BlobId, GetOptions, PutOptions } from '@stored/core'
import { compareKeys, StorageError, type StorageErrorCode } from '@stored/core/backend'
import fc from 'fast-check'
import { collect, collectPages, idOf } from '../ports/subject.ts'
import { compare, demand, equal, type Run } from './compare.ts'
import { areToClean, idKey, type Model, OWING } from './model.ts'
import type { Name, World } from './world.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const YEAR = 365 * 24 * HOUR
/** How long a caller has patience with `synced`. */
const PATIENCE_MS = 30 * MINUTE

/** From nothing to what fits in staging twice. */
const TEXTS = [0, 10, 400, 900, 1300].map((length, i) => Buffer.alloc(length, `${i} blob, `))
export const BLOBS: ReadonlyMap<BlobId, Buffer> = new Map(TEXTS.map((bytes) => [idOf(bytes.toString()), bytes]))
const IDS = [...BLOBS.keys()]
const KEYS = ['a', 'b', 'a/b', 'ü']
const NAMES: readonly Name[] = ['near', 'ids', 'far']

export type Command = fc.AsyncCommand<Model, Run>

function command(text: string, act: (run: Run) => Promise<void>): Command {
  return {
    check: () => true,
    toString: () => text,
    run: async (_, run) => {
      await act(run)
      await compare(run)
    },
  }
}

/** What it comes to: a value, or the code of its error. */
async function outcomeOf<T>(world: World, call: Promise<T>): Promise<T | StorageErrorCode> {
  try {
    return await world.clock.until(call)
  } catch (error) {
    if (StorageError.is(error)) return error.code
    throw error
  }
}

const key = fc.constantFrom(...KEYS)
const id = fc.constantFrom(...IDS)
const name = fc.oneof(
  { weight: 3, arbitrary: key },
  { weight: 2, arbitrary: id },
  { weight: 1, arbitrary: id.map(idKey) },
)
const backend = fc.constantFrom(...NAMES)
/** Of those that a store has. */
const some = fc.subarray([...NAMES], { minLength: 1 })
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined })

function configured({ world }: Run, names: readonly Name[] | undefined): Name[] | undefined {
  const there = names?.filter((one) => world.setup.names.includes(one))
  return there && there.length > 0 ? there : undefined
}

interface Condition {
  readonly ifAbsent?: boolean
  readonly ifMatch?: BlobId
}

const put = fc
  .record({
    key: optional(key),
    id,
    backends: optional(some),
    condition: fc.oneof(
      { weight: 6, arbitrary: fc.constant<Condition>({}) },
      { weight: 1, arbitrary: fc.constant<Condition>({ ifAbsent: true }) },
      { weight: 2, arbitrary: id.map((ifMatch): Condition => ({ ifMatch })) },
    ),
    mimeType: optional(fc.constantFrom('text/x', 'text/y')),
    metadata: optional(fc.dictionary(fc.constantFrom('m', 'n'), fc.option(fc.nat(2)))),
    replaceMetadata: optional(fc.boolean()),
  })
  .map(({ key, id, backends, condition, mimeType, metadata, replaceMetadata }) =>
    command(
      `put ${key} ${IDS.indexOf(id)} ${JSON.stringify({ backends, ...condition, mimeType, metadata, replaceMetadata })}`,
      (run) => {
        const there = configured(run, backends)
        const options: Options = {
          ...(key !== undefined && { key }),
          ...(there && { backends: there }),
          ...condition,
          ...(mimeType && { mimeType }),
          ...(metadata && { metadata }),
          ...(replaceMetadata !== undefined && { replaceMetadata }),
        }
        return putInto(run, id, options)
      },
    ),
  )

type Options = Omit<PutOptions<Name>, 'ifMatch'> & Condition

/** Puts, into the store and into the model, unless there is no room. */
async function putInto(run: Run, id: BlobId, options: Options): Promise<void> {
  const { world, model } = run
  const bytes = BLOBS.get(id) as Buffer
  const { bytes: used, limit } = world.services.staging.usage()
  const outcome = await outcomeOf(world, world.store.put(bytes, options))
  if (used + bytes.length > limit) return equal(outcome, 'STAGING_FULL', 'a put without room')
  const key = options.key ?? idKey(id)
  const expected = model.put({ ...options, key, id, bytes, backends: options.backends })
  if (typeof expected === 'string' || typeof outcome === 'string') return equal(outcome, expected, 'a put')
  const { isNew, locations: _, version, ...facts } = outcome
  demand(version !== '', 'a put without a version')
  const isExpected = 'isNew' in expected && expected.isNew
  equal({ isNew, facts }, { isNew: isExpected, facts: { ...model.facts.get(id), ...model.named(key) } }, 'put')
}

const remove = name.map((name) =>
  command(`delete ${name}`, async ({ world, model }) => {
    const { deleted, pending } = await world.store.delete(name)
    const expected = model.delete(name)
    equal([...deleted].sort(), expected.deleted.sort(), 'keys deleted')
    demand(areToClean(pending, expected.lost), `backends to clean: ${pending}`)
  }),
)

const drop = fc.tuple(name, some).map(([name, some]) =>
  command(`delete ${name} of ${some}`, async (run) => {
    const { world, model } = run
    const backends = configured(run, some) ?? world.setup.names
    const outcome = await outcomeOf(world, world.store.delete(name, { backends }))
    const expected = model.drop(name, backends)
    if (typeof outcome === 'string' || typeof expected === 'string') return equal(outcome, expected, 'copies dropped')
    demand(areToClean(outcome.pending, expected), `backends to clean: ${outcome.pending}`)
  }),
)

const get = fc
  .record({
    name,
    backend: optional(backend),
    range: optional(
      fc.record({ offset: fc.constantFrom(0, 1, 300, 2000), length: fc.constantFrom(0, 1, 500) }, { requiredKeys: [] }),
    ),
    fallback: fc.boolean(),
    stream: fc.boolean(),
  })
  .map(({ name, backend, range, fallback, stream }) =>
    command(`get ${name} ${JSON.stringify({ backend, range, fallback, stream })}`, async (run) => {
      const { world, model } = run
      const there = backend && configured(run, [backend])?.[0]
      const options = { ...(there && { backend: there }), ...(range && { range }), fallback }
      const expected = expectedOf(model, world, name, options)
      const call = stream
        ? world.store
            .get(name, { ...options, stream: true })
            .then((read) => collect(read))
            .then(Buffer.concat)
        : world.store.get(name, options)
      const outcome = await outcomeOf(world, call)
      const what = `get gives ${typeof outcome === 'string' ? outcome : `${outcome.length} bytes`}`
      if (typeof outcome === 'string') return demand(expected.codes.includes(outcome), `${what}, not ${expected.codes}`)
      demand(expected.bytes !== undefined, `${what}, instead of ${expected.codes}`)
      demand(outcome.length === expected.bytes?.length, `${what} of ${expected.bytes?.length}`)
      demand(expected.isUnverified || expected.bytes?.equals(outcome) === true, `${what}, and they are wrong`)
    }),
  )

interface Expected {
  readonly codes: readonly StorageErrorCode[]
  readonly bytes?: Buffer
  readonly isUnverified?: boolean
}

function expectedOf(
  model: Model,
  world: World,
  name: string,
  { backend, range, fallback = false }: GetOptions<Name>,
): Expected {
  const id = model.idOf(name)
  const all = id && model.facts.has(id) ? BLOBS.get(id) : undefined
  if (!id || !all) return { codes: ['NOT_FOUND'] }
  const { offset = 0, length = all.length } = range ?? {}
  if (offset > 0 && offset >= all.length) return { codes: ['RANGE_NOT_SATISFIABLE'] }
  const bytes = all.subarray(offset, offset + length)
  const copies = model.copiesOf(id, backend && { name, backend }, fallback)
  if (backend === undefined && model.staged.has(id)) return { codes: [], bytes }
  if (copies.length === 0 && backend !== undefined) return { codes: ['NOT_FOUND'] }
  const isCached = backend === undefined && !range && !fallback && !world.setup.names.includes('near')
  // Of what the read cache holds nothing need be known.
  if (copies.length === 0) return { codes: ['UNAVAILABLE'], ...(isCached && { bytes }) }
  const isFar = copies[0]?.backend === 'far'
  // Also of a stream: each of these is so short that it gives out nothing before all of it was read.
  const isSaved = fallback && copies.some((copy) => copy.backend !== 'far')
  const codes = isFar && !isSaved ? faultsOf(world, fallback) : []
  return { codes, bytes, isUnverified: isFar && range !== undefined && (world.rates.wrongBytes ?? 0) > 0 }
}

/** What a read from a faulty backend may fail with now; with `fallback` also when every copy failed. */
function faultsOf({ rates, outage }: World, fallback = false): StorageErrorCode[] {
  if (StorageError.is(outage)) return fallback ? [outage.code, 'UNAVAILABLE'] : [outage.code]
  const { error = 0, cut = 0, hang = 0, rateLimited = 0, wrongBytes = 0 } = rates
  const codes: StorageErrorCode[] = []
  if (error + cut > 0 || (fallback && hang + rateLimited + wrongBytes > 0)) codes.push('UNAVAILABLE')
  if (hang > 0) codes.push('TIMEOUT')
  if (rateLimited > 0) codes.push('RATE_LIMITED')
  if (wrongBytes > 0) codes.push('CHECKSUM_MISMATCH')
  return codes
}

const list = fc
  .record(
    { prefix: fc.constantFrom('', 'a', 'blobs/', 'z'), after: name, limit: fc.nat(3), backend },
    { requiredKeys: [] },
  )
  .map((given) =>
    command(`list ${JSON.stringify(given)}`, async (run) => {
      const { world, model } = run
      const { backend: named, ...rest } = given
      const backend = named && configured(run, [named])?.[0]
      const listed = await collect(world.store.list({ ...rest, ...(backend && { backend }) }))
      const { prefix = '', after = '', limit = Number.POSITIVE_INFINITY } = rest
      const isThere = (key: string, id: BlobId) =>
        model.placesOf(id).some((place) => place.backend === backend && model.isCopyOf(place, key))
      const expected = [...model.bindings]
        .map(([key, { id }]): [string, BlobId] => [key, id])
        .filter(([key, id]) => key.startsWith(prefix) && compareKeys(key, after) > 0 && (!backend || isThere(key, id)))
        .sort(([a], [b]) => compareKeys(a, b))
        .slice(0, limit)
      equal(
        listed.map(({ key, id }) => [key, id]),
        expected,
        'a page',
      )
    }),
  )

const stat = name.map((name) =>
  command(`stat ${name}`, async ({ world, model }) => {
    const id = model.idOf(name)
    const isKnown = id !== undefined && model.facts.has(id)
    equal((await world.store.stat(name))?.id, isKnown ? id : undefined, 'stat')
    const isThere = isKnown && model.placesOf(id).some(({ state }) => state !== 'missing')
    equal(await world.store.has(name), isThere, 'has')
  }),
)

const evict = fc.constantFrom('oldest', 'oversized', 'a*', '*', 'clear', 'damage').map((which) =>
  command(`read cache: ${which}`, async ({ world }) => {
    if (which === 'damage') world.damageCache()
    else if (which === 'clear') await world.store.cache.clear()
    else await world.store.cache.evict(which)
  }),
)

const pause = fc.tuple(backend, fc.boolean()).map(([backend, isPause]) =>
  command(`${isPause ? 'pause' : 'resume'} ${backend}`, async (run) => {
    const { world, model } = run
    const [name] = configured(run, [backend]) ?? world.setup.names
    if (name === undefined) return
    await world.store[isPause ? 'pause' : 'resume'](name)
    model.paused[isPause ? 'add' : 'delete'](name)
    run.frozen = new Set([...run.frozen].filter((one) => one !== name))
    equal((await world.store.getBackend(name)).state === 'paused', isPause, 'paused')
  }),
)

const retry = fc.constant(
  command('retry', async ({ world, model }) => {
    const parked = await collect(world.store.jobs({ state: 'parked' }))
    equal(await world.store.retry(), parked.length, 'jobs put back')
    model.retry()
  }),
)

const restart = fc.constant(command('restart', ({ world }) => world.restart()))

const crash = fc.constant(
  command('crash', async ({ world, model }) => {
    await world.crash()
    model.crashes++
    // What ran when its process died three times is not tried any more.
    if (model.crashes >= 3) model.mayFail = true
  }),
)

const RATES: readonly Partial<FaultRates>[] = [
  {},
  { error: 0.4 },
  { applied: 0.5 },
  { wrongBytes: 0.4 },
  { cut: 0.5 },
  { rateLimited: 0.2 },
  { hang: 0.2 },
  { duplicate: 0.5 },
  { error: 0.1, applied: 0.2, cut: 0.1, wrongBytes: 0.05, hang: 0.05, rateLimited: 0.05, duplicate: 0.1 },
]

const faults = fc.constantFrom(...RATES).map((rates) =>
  command(`faults ${JSON.stringify(rates)}`, async ({ world, model }) => {
    world.rates = rates
    if (Object.keys(rates).length > 0) model.mayFail = true
    if (rates.wrongBytes) model.mayConflict = model.mayBeMisread = true
  }),
)

const outage = fc
  .constantFrom<StorageErrorCode | null>(null, null, 'UNAVAILABLE', 'UNAUTHENTICATED', 'NO_SPACE')
  .map((code) =>
    command(`outage ${code}`, async ({ world, model }) => {
      world.outage = code && new StorageError(code, { backend: 'far', op: 'open' })
      if (code) model.mayFail = true
    }),
  )

const jump = fc
  .constantFrom(-YEAR, -HOUR, -MINUTE, MINUTE, HOUR, YEAR)
  .map((ms) => command(`the clock jumps ${ms} ms`, async ({ world }) => world.clock.jump(ms)))

const pass = fc
  .constantFrom(1, 4, 10, 20, 45, 200, 2 * SECOND, MINUTE, 20 * MINUTE)
  .map((ms) => command(`${ms} ms pass`, ({ world }) => world.clock.pass(ms)))

const synced = fc.tuple(optional(name), fc.boolean()).map(([name, isPatient]) =>
  command(`synced ${name}${isPatient ? '' : ', for a second'}`, async ({ world, model }) => {
    const patience = new AbortController()
    const timer = setTimeout(() => patience.abort(), isPatient ? PATIENCE_MS : SECOND)
    const outcome = await outcomeOf(world, world.store.synced(name, { signal: patience.signal }))
    clearTimeout(timer)
    const id = name === undefined ? undefined : model.idOf(name)
    const isKnown = name === undefined || (id !== undefined && model.facts.has(id))
    if (!isKnown) return equal(outcome, 'NOT_FOUND', 'synced of nothing')
    demand(typeof outcome !== 'string' || outcome === 'ABORTED' || model.mayFail, `synced rejects with ${outcome}`)
    if (outcome === undefined) await demandSynced(world, name)
  }),
)

/** Nothing is owed of a blob, or of all. */
async function demandSynced({ store, services }: World, name: string | undefined): Promise<void> {
  if (name === undefined)
    return equal(await collectPages(services.queue.jobs({})), [], 'jobs of a store that is synced')
  const { locations = [] } = (await store.stat(name)) ?? {}
  demand(!locations.some(({ state }) => (OWING as string[]).includes(state)), 'a blob that is synced owes a copy')
}

const verify = fc.constant(
  command('verify', async ({ world }) => {
    const results = await world.clock.until(collect(world.store.verify()))
    if (faultsOf(world).length > 0) return
    for (const result of results)
      demand(result.checked && result.state === 'synced', `verify finds ${JSON.stringify(result)}`)
  }),
)

/** Each as often as it is here. */
export const COMMANDS: fc.Arbitrary<Command>[] = [
  ...[put, put, put, put, put, put, get, get, get, remove, remove, drop, pass, pass, pass, pass, faults, outage],
  ...[list, stat, evict, pause, retry, restart, crash, jump, synced, verify],
]
