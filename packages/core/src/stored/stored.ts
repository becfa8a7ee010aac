import type { Readable } from 'node:stream'
import { StorageError, toStorageError } from '../backend/error.ts'
import { checkKey } from '../backend/keys.ts'
import type { OwnPlace } from '../backend/one-medium.ts'
import { checkOptions } from '../backend/options.ts'
import { is, type RulesOf } from '../backend/rules.ts'
import type { BlobId } from '../model/blob.ts'
import type { Place } from '../model/copy.ts'
import type { DurableEvent, Logged } from '../model/event.ts'
import type { Job, JobFilter } from '../model/job.ts'
import type { BlobSource } from '../source/source.ts'
import { type Trace, traced, tracedStream } from '../trace.ts'
import { Backends, type Configured } from './backends/backends.ts'
import { backendInfo, storeStatus } from './backends/info.ts'
import { checkJobsFilter, jobs, RETRY_FILTER, retryParked } from './backends/jobs.ts'
import { MediumMemories } from './backends/medium-memory.ts'
import { removeBackend } from './backends/remove-backend.ts'
import { Calls } from './calls.ts'
import { DELETE_OPTIONS, remove } from './delete/delete.ts'
import { FORGET_OPTIONS, forget } from './delete/forget.ts'
import { Extension } from './extension.ts'
import { type Consumer, readBuffer, readStream } from './get/bodies.ts'
import { GET_OPTIONS, readBlob } from './get/get.ts'
import { OPEN_OPTIONS, openBlob } from './get/open.ts'
import { Changes } from './lookup/changes.ts'
import { factsUnder } from './lookup/copies.ts'
import { checkEventsOptions, readEvents } from './lookup/event-log.ts'
import { Events } from './lookup/events.ts'
import { find, placesByPage } from './lookup/find.ts'
import { isBlobThere, LIST_OPTIONS, list } from './lookup/list.ts'
import { checkAlgorithms, checkName, idKey } from './lookup/names.ts'
import { locationOf, recordOf } from './lookup/record.ts'
import { SYNCED_OPTIONS, synced } from './lookup/synced.ts'
import { OPTIONS } from './options.ts'
import { LINK_OPTIONS, link } from './put/link.ts'
import { COMMIT_OPTIONS, commit, PUT_OPTIONS, type PutDone, put } from './put/put.ts'
import { RECEIVE_OPTIONS, receive } from './put/receive.ts'
import type { Services } from './services.ts'
import { cacheStats, evict, evictable } from './store-cache.ts'
import type {
  BackendInfo,
  BackendOptions,
  BlobRecord,
  CommitOptions,
  CopiesOptions,
  DeleteOptions,
  DeleteResult,
  EventsOptions,
  ForgetOptions,
  ForgottenCopy,
  GetOptions,
  LinkOptions,
  ListEntry,
  ListOptions,
  OpenedBlob,
  OpenOptions,
  PutOptions,
  PutResult,
  Received,
  ReceiveOptions,
  RecordLocation,
  RepairOptions,
  RepairResult,
  StoreCache,
  StoreDOptions,
  StoreEvent,
  StoreEventOf,
  StoreStatus,
  SyncedOptions,
  VerifyOptions,
  VerifyResult,
} from './types.ts'
import { Upkeep } from './upkeep.ts'
import { REPAIR_OPTIONS, repair } from './verify/repair.ts'
import { checkVerifyOptions, verify } from './verify/verify.ts'

/** How long calls in progress may run on when the store closes. */
const CLOSE_GRACE_MS = 5000
type Checked<Names extends string> = StoreDOptions<Names> &
  Pick<Services, 'algorithms' | 'prefix' | 'whenFull'> & { readonly own: readonly OwnPlace[] }
const COPIES_OPTIONS: RulesOf<CopiesOptions> = { signal: is.signal }
const REMOVE_OPTIONS = { force: is.boolean, dryRun: is.boolean }

/**
 * One store: blobs by id or key, staged durably, copied to their backends in the background.
 *
 * Every method rejects with a {@link StorageError}, or with what an `also` throws. `put` never waits for a backend, and never fails because of one.
 */
export class StoreD<Names extends string = string> implements AsyncDisposable {
  readonly #services: Services
  readonly #events = new Events()
  readonly #changes = new Changes()
  readonly #unsubscribe: () => void
  readonly #calls: Calls
  /** Bytes that were received, and neither committed nor let go. */
  readonly #held = new Set<Received>()
  readonly #upkeep: Upkeep
  #closed: Promise<void> | undefined

  /** The read cache: what it holds, and ways to empty it. It holds nothing that cannot be read again. */
  readonly cache: StoreCache = {
    stats: () => this.#calls.run({ op: 'cache.stats' }, () => cacheStats(this.#services)),
    evict: (which) => {
      const at = { op: 'cache.evict' }
      return this.#calls.run(at, () => evict(this.#services, which, at))
    },
    evictable: (which) => {
      const at = { op: 'cache.evictable' }
      return this.#calls.run(at, () => evictable(this.#services, which, at))
    },
    clear: () => this.#calls.run({ op: 'cache.clear' }, async () => this.#services.cache?.clear()),
  }

  /** @throws {StorageError} MISCONFIGURED if the services use different ledgers · INVALID_ARGUMENT. */
  constructor(given: StoreDOptions<Names>) {
    const options = checkOptions(given as Checked<Names>, OPTIONS, { op: 'open' })
    const { ledger, index, queue, staging, syncer, backends, defaultBackends, prefix, own } = options
    if ([index, queue, staging].some((service) => service.ledger !== ledger))
      throw new StorageError(
        'MISCONFIGURED',
        { op: 'open' },
        { detail: 'index, queue and staging must share one ledger' },
      )
    checkAlgorithms(options.algorithms, { op: 'open' })
    checkKey(idKey(prefix, `sha256:${'0'.repeat(64)}`), { op: 'open' })
    const mediums = new MediumMemories({ ledger, index }, () => configured.all().map(({ name }) => name))
    const configured: Backends = new Backends({
      index,
      ledger,
      prefix,
      mediumOf: (name, generation) => mediums.of(name, generation),
      log: (backend, event) => this.#events.emit({ type: 'log', backend, ...event, time: Date.now() }),
      own,
    })
    for (const [name, backend] of Object.entries<BackendOptions>(backends)) configured.add(name, backend)
    for (const name of defaultBackends ?? []) configured.get(name, { op: 'open' })
    this.#services = { ...options, backends: configured, defaultBackends }
    this.#calls = new Calls({ refresh: () => ledger.refresh(), known: () => configured.known() })
    this.#upkeep = new Upkeep(this.#services, this.#calls, this.#committed)
    // Not every job that ends is an event: one that was overtaken ends silently.
    const unsubscribe = [
      syncer.onEvent((event) => this.#events.emit(event)),
      queue.onWork(() => this.#changes.notify()),
      syncer.onRing(() => {
        ledger.refresh()
        this.#changes.notify()
        staging.recheck()
        this.#calls.run({ op: 'removeBackend' }, () => this.#dropRemoved()).catch(() => {}) // The next ring, or status(), does it.
        if (syncer.active) this.#upkeep.finishDeletions()
      }),
      staging.onFull(() => this.#upkeep.makeRoom()),
      ledger.onDegraded((error) => this.#events.emit({ type: 'degraded', error, time: Date.now() })),
    ]
    this.#unsubscribe = () => unsubscribe.forEach((end) => void end())
    for (const target of configured.all()) syncer.add(target)
    this.#upkeep.finishDeletions()
  }

  /**
   * Stores bytes. It reads the source once, stages and records the bytes in one commit, and resolves when that is durable. The
   * copies follow in the background.
   *
   * @param source A Buffer or typed array, a path or `file:` URL, a Readable or web stream, a Blob, an (async) iterable of bytes.
   * @throws {StorageError} INVALID_KEY, also for a key below `<prefix>/sha256/` that is not this blob's own · KEY_CONFLICT: the
   *   copy of another blob is where a copy of this one should go · INVALID_ARGUMENT · NOT_FOUND: no such file · SOURCE_CHANGED ·
   *   SOURCE_FAILED: a stream or an iterable broke off; `cause` is what it threw ·
   *   SIZE_MISMATCH, CHECKSUM_MISMATCH: not what `expect` says · ALREADY_EXISTS, PRECONDITION_FAILED: a condition failed · NO_SPACE ·
   *   STAGING_FULL: it must not wait, or waiting is in vain, or the blob is larger than all of staging · what `also` throws.
   */
  put(source: BlobSource, options: PutOptions<Names> = {}): Promise<PutResult> {
    return this.#calls.call({ op: 'put' }, [options, PUT_OPTIONS], async (checked, signal) => {
      const done = await traced(
        'put',
        { key: checked.key },
        () => put(this.#services, source, checked, signal),
        ({ facts }) => facts.size,
      )
      return this.#put(done)
    })
  }

  /**
   * Reads bytes as `put` does, and holds them where nobody can see them: `commit` makes a blob of them, once. They take space in
   * staging until they are committed or let go. The process that holds them may stop for an hour, and they are discarded once it is gone.
   *
   * @returns To be disposed of with `await using`, which discards what was not committed.
   * @throws {StorageError} As `put`, up to its commit.
   */
  receive(source: BlobSource, options: ReceiveOptions = {}): Promise<Received> {
    const at = { op: 'receive' }
    return this.#calls.call(at, [options, RECEIVE_OPTIONS], async (checked, signal) => {
      const received = await receive(this.#services, source, checked, signal, at)
      this.#held.add(received)
      received.onEnd(() => this.#held.delete(received))
      return received
    })
  }

  /**
   * Makes a blob of bytes that this store received: what `put` does once it has read its source. After a rejection they can be committed
   * again, unless the error is `ambiguous`.
   *
   * @throws {StorageError} As `put`, from its commit on · CONFLICT: the bytes were discarded, because their process had stopped for too
   *   long, or another call commits them · INVALID_ARGUMENT: they are committed already, or were let go · what `also` throws.
   */
  commit(received: Received, options: CommitOptions<Names> = {}): Promise<PutResult> {
    return this.#calls.call({ op: 'commit' }, [options, COMMIT_OPTIONS], async (checked) =>
      this.#put(await commit(this.#services, received, checked)),
    )
  }

  /**
   * Binds a key to a blob that the store has, without its bytes from the caller. The copies that the key owes follow in the background;
   * where that takes bytes and none are staged, they are first read from another copy.
   *
   * @throws {StorageError} NOT_FOUND: there is no such blob · INVALID_KEY · INVALID_ARGUMENT · ALREADY_EXISTS, PRECONDITION_FAILED: a
   *   condition failed · KEY_CONFLICT, as `put` · STAGING_FULL · the errors of all copies if none can be read · what `also` throws.
   */
  link(key: string, id: BlobId, options: LinkOptions<Names> = {}): Promise<PutResult> {
    return this.#calls.call({ op: 'link', key }, [options, LINK_OPTIONS], async (checked, signal) =>
      this.#put(await link(this.#services, key, id, checked, signal)),
    )
  }

  #put({ key, isNew, events, binding: named, ...known }: PutDone): PutResult {
    this.#committed(...events)
    return { ...recordOf({ ...known, named }, this.#isConfigured), key, version: named.version, isNew }
  }

  /**
   * Names a package that keeps rows of its own in the commits of this store, such as the names of its objects. The same name gives the
   * same tables.
   *
   * @param name Lower-case letters, digits and `-`, at most 64.
   * @throws {StorageError} INVALID_ARGUMENT.
   */
  extension(name: string): Extension {
    this.#calls.enter('extension')
    const { ledger } = this.#services
    const extension = new Extension(name, ledger, this.#calls, ({ events }) => this.#committed(...events))
    this.#events.addExtension(name)
    return extension
  }

  /**
   * Reads a blob by id or key. Whole blobs are verified against their id: a Buffer is never wrong, and a stream ends with an error
   * instead of its last bytes. Up to 64 KiB are read before `get` resolves, so a small blob with wrong bytes rejects.
   *
   * @throws {StorageError} NOT_FOUND, also if there is no copy on `backend` or `backends` · INVALID_ARGUMENT ·
   *   RANGE_NOT_SATISFIABLE · CHECKSUM_MISMATCH · TOO_LARGE: above 2 GiB, use `stream: true` · any error of the backend.
   */
  get(idOrKey: string, options: GetOptions<Names> & { stream: true }): Promise<Readable>
  get(idOrKey: string, options?: GetOptions<Names> & { stream?: false }): Promise<Buffer>
  get(idOrKey: string, options: GetOptions<Names> & { stream?: boolean } = {}): Promise<Readable | Buffer> {
    const at = { op: 'get', key: idOrKey }
    const trace: Trace = { key: idOrKey }
    return this.#calls.call(at, [options, GET_OPTIONS], (checked, signal) => {
      const read = <T>(consumer: Consumer<T>) => readBlob(this.#services, idOrKey, checked, signal, consumer)
      if (!checked.stream)
        return traced<Readable | Buffer>(
          'get',
          trace,
          () => read({ whole: (bytes) => bytes, read: (opened, length) => readBuffer(opened, length, at) }),
          (bytes) => (bytes as Buffer).length,
        )
      return tracedStream(trace, (count) =>
        read({ read: (opened, length) => readStream(opened, length, { at, signal, count }) }),
      )
    })
  }

  /**
   * Opens a blob by id or key: its record and its bytes, both of one moment. What is put under the key meanwhile changes neither. The
   * bytes are verified as by `get` with `stream: true`.
   *
   * @throws {StorageError} As `get` · what a function that chooses the range throws.
   */
  open(idOrKey: string, options: OpenOptions<Names> = {}): Promise<OpenedBlob> {
    const at = { op: 'open', key: idOrKey }
    return this.#calls.call(at, [options, OPEN_OPTIONS], async (checked, signal) => {
      let opened: Omit<OpenedBlob, 'body'> | undefined
      const body = await tracedStream({ key: idOrKey }, (count) =>
        openBlob(this.#services, idOrKey, checked, signal, (bytes, shown) => {
          opened = shown
          return readStream(bytes, shown.range.length, { at, signal, count })
        }),
      )
      return { ...(opened as Omit<OpenedBlob, 'body'>), body }
    })
  }

  /**
   * @returns The record, or `null` if this id or key is unknown. A key shows its own copies and those that all keys of the blob
   *   share; the id shows these, and up to 100 others, with `more` if there are more.
   */
  stat(idOrKey: string): Promise<BlobRecord | null> {
    return this.#calls.run({ op: 'stat', key: idOrKey }, async () => {
      checkName(idOrKey, { op: 'stat' })
      const known = await find(this.#services, idOrKey)
      return known && recordOf(known, this.#isConfigured)
    })
  }

  /**
   * Lists the copies of a key, as `stat` shows them, or all copies of an id, those that are owed first. Asks no backend.
   *
   * @throws {StorageError} INVALID_KEY, at once · NOT_FOUND: this id or key is unknown · ABORTED · CLOSED.
   */
  copies(idOrKey: string, options: CopiesOptions = {}): AsyncIterableIterator<RecordLocation, void, void> {
    this.#calls.enter('copies')
    const at = { op: 'copies' }
    checkName(idOrKey, at)
    const { signal } = checkOptions(options, COPIES_OPTIONS, at)
    return this.#calls.iterate('copies', signal, (ending) => this.#copies(idOrKey, at, ending))
  }

  async *#copies(
    idOrKey: string,
    at: { op: string },
    signal: AbortSignal,
  ): AsyncGenerator<readonly RecordLocation[], void, void> {
    for await (const page of placesByPage(this.#services, idOrKey, at, signal))
      yield page.map((location) => locationOf(location, this.#isConfigured(location.backend)))
  }

  /**
   * Whether the store has a blob under this id or key, as `list` shows it. `false` also if every copy was found missing, although
   * `stat` still returns the record. A copy that is owed, damaged or unreachable counts.
   */
  has(idOrKey: string): Promise<boolean> {
    return this.#calls.run({ op: 'has', key: idOrKey }, async () => {
      checkName(idOrKey, { op: 'has' })
      return this.#services.ledger.look((view) => {
        const facts = factsUnder(this.#services, view, idOrKey)
        return facts !== null && isBlobThere(this.#services, view, facts.id)
      })
    })
  }

  /** Lists the index in UTF-8 order of keys, a page at a time. No backend is asked. */
  list(options: ListOptions<Names> = {}): AsyncIterableIterator<ListEntry, void, void> {
    this.#calls.enter('list')
    const checked = checkOptions(options, LIST_OPTIONS, { op: 'list' })
    return this.#calls.iterate('list', checked.signal, (signal) => list(this.#services, checked, signal))
  }

  /**
   * Unbinds a key, or all keys of an id, and removes their objects in the background. Readers no longer see them from now on. With
   * `backends` it only drops copies, and never the last one.
   *
   * Of an id with more than 100 keys the first commit deletes the blob for all readers, and further ones remove 100 keys each. The call
   * resolves after the last of them. If it is aborted or killed before, the deletion goes on in the background, or when the store is
   * next opened. With `backends`, each commit is decided by itself, and an error leaves those before it.
   *
   * @returns Two empty lists if this id or key is unknown.
   * @throws {StorageError} PRECONDITION_FAILED: no synced or staged copy would remain · CONFLICT: with `backends`, other calls changed a
   *   blob with many keys again and again.
   */
  delete(idOrKey: string, options: DeleteOptions<Names> = {}): Promise<DeleteResult> {
    return this.#calls.call({ op: 'delete', key: idOrKey }, [options, DELETE_OPTIONS], async (checked, signal) => {
      try {
        return await remove(this.#services, idOrKey, checked, this.#committed, signal)
      } catch (error) {
        // It may have begun, and is not to wait until the store is opened again.
        this.#upkeep.finishDeletions()
        throw error
      }
    })
  }

  /**
   * Waits until all copies of a key, or of a blob by its id, are made; without a name, until nothing is owed. A copy on a backend
   * that was removed does not count.
   *
   * @throws {StorageError} The error of a parked job, once the others have settled; for a name also the error of a copy found damaged
   *   or missing, with `at.backend` · NOT_FOUND without `at.backend`: the name is unknown · UNAVAILABLE: all its copies are on backends
   *   that are not configured · INVALID_ARGUMENT · UNSUPPORTED: something is owed, but no process syncs those backends.
   */
  synced(idOrKey?: string, options: SyncedOptions<Names> = {}): Promise<void> {
    return this.#calls.call(
      { op: 'synced', key: idOrKey },
      [options, SYNCED_OPTIONS],
      (checked, signal) => synced(this.#services, this.#changes, idOrKey, checked, signal),
      false,
    )
  }

  /**
   * Adds a backend to an open store.
   *
   * @throws {StorageError} ALREADY_EXISTS · INVALID_ARGUMENT · MISCONFIGURED: its place equals, lies inside or contains that of another
   *   backend or of the store itself. If only the mark on the medium shows this, calls to the backend reject instead, and its jobs wait.
   */
  addBackend(name: string, options: BackendOptions): void {
    this.#calls.enter('addBackend')
    this.#services.syncer.add(this.#services.backends.add(name, options))
  }

  /**
   * Forgets a backend. Nothing on it is deleted. Its copies show as `detached`. If a backend of this name is added again, which may be
   * another place, they show as `unknown` until `verify` has read them. Jobs of puts still in flight wait as well; their bytes stay
   * staged. Other processes stop using it. While it is checked for the last time, a put that names it is refused, and one that names none
   * goes to the others.
   *
   * @throws {StorageError} PRECONDITION_FAILED if jobs are waiting for it, or if it holds the only copy of a blob, or if it may have come to
   *   hold one while it was checked; `force` overrides. With `dryRun` it only checks, and changes nothing · CONFLICT: another call removes it.
   */
  removeBackend(name: Names, options: { force?: boolean; dryRun?: boolean } = {}): Promise<void> {
    const at = { op: 'removeBackend', backend: name }
    return this.#calls.call(at, [options, REMOVE_OPTIONS], async ({ force, dryRun }, signal) => {
      const target = this.#services.backends.get(name, at)
      await removeBackend(this.#services, target, { ...(force && { force }), ...(dryRun && { dryRun }) }, signal)
      if (dryRun) return
      await this.#drop(target).finally(() => this.#committed())
      await this.#completeIndex(signal)
    })
  }

  /** What is removed is removed: when the store closes, the next opening goes on. */
  async #completeIndex(signal: AbortSignal): Promise<void> {
    try {
      await this.#services.index.complete(signal)
    } catch (error) {
      if (!signal.aborted) throw error
    }
  }

  /** Closes what was removed, here or by another process. */
  async #drop(target: Configured): Promise<void> {
    const { backends, syncer } = this.#services
    if (!backends.remove(target)) return
    await syncer.remove(target.name)
    await target.backend.close()
  }

  async #dropRemoved(): Promise<void> {
    const { backends, ledger } = this.#services
    const all = backends.all()
    const removed = await ledger.look((view) => all.filter(({ name }) => !backends.isCurrent(view, name)))
    for (const target of removed) await this.#drop(target)
  }

  async listBackends(): Promise<BackendInfo[]> {
    await this.#calls.run({ op: 'listBackends' }, () => this.#dropRemoved())
    return Promise.all(this.#services.backends.all().map(({ name }) => this.getBackend(name as Names)))
  }

  /** @throws {StorageError} INVALID_ARGUMENT for an unknown name. */
  getBackend(name: Names): Promise<BackendInfo> {
    const at = { op: 'getBackend', backend: name }
    return this.#calls.run(at, () => backendInfo(this.#services, this.#services.backends.get(name, at)))
  }

  /**
   * The state of the store: which process syncs, the state of each backend, what it is owed, and how many of its copies are known to
   * be damaged, missing or refused. Asks no backend and scans nothing.
   */
  status(): Promise<StoreStatus> {
    return this.#calls.run({ op: 'status' }, async () => {
      const { syncing, ...state } = await storeStatus(this.#services)
      return { syncing, backends: await this.listBackends(), ...state }
    })
  }

  /** Starts no job for a backend, in any process, until `resume`. Outlives the process. Running jobs finish. */
  pause(name: Names): Promise<void> {
    const at = { op: 'pause', backend: name }
    return this.#calls.run(at, async () => this.#services.queue.pause(this.#services.backends.get(name, at).name))
  }

  /** Ends a pause, and makes the process that syncs try a failing backend at once: its credentials may have changed. */
  resume(name: Names): Promise<void> {
    const at = { op: 'resume', backend: name }
    return this.#calls.run(at, async () => this.#services.queue.resume(this.#services.backends.get(name, at).name))
  }

  /**
   * Lists jobs: for each backend running, parked, then waiting ones, in the order they were queued.
   *
   * @throws {StorageError} INVALID_ARGUMENT, INVALID_KEY, at once · ABORTED · CLOSED.
   */
  jobs(filter: JobFilter & { backend?: Names } = {}): AsyncIterableIterator<Job, void, void> {
    this.#calls.enter('jobs')
    const checked = checkJobsFilter(this.#services, filter)
    return this.#calls.iterate('jobs', checked.signal, (signal) => jobs(this.#services, checked, signal))
  }

  /**
   * Puts parked jobs back in the queue, with all their attempts. To give up a copy instead, delete it: `delete(id, { backends })`.
   *
   * @returns The number of jobs.
   */
  retry(filter: Omit<JobFilter, 'state'> & { backend?: Names } = {}): Promise<number> {
    return this.#calls.call({ op: 'retry' }, [filter, RETRY_FILTER], (checked, signal) =>
      retryParked(this.#services, checked, signal),
    )
  }

  /**
   * Calls `listener` for what happens in this process. For other processes, and for the past, use `events`. `log` events are messages
   * of drivers to operators.
   *
   * @returns A function that removes the listener. A listener that throws causes a process warning.
   * @throws {StorageError} INVALID_ARGUMENT: no such event.
   */
  on<Type extends StoreEvent['type']>(type: Type, listener: (event: StoreEventOf<Type>) => void): () => void {
    return this.#events.on(type, listener)
  }

  /**
   * Reads the event log of the store, in the order of its commits: `put`, `delete`, `sync:complete`, `sync:error`, from every
   * process that has it open. The last 100,000 events are kept. A consumer that saves the `position` of the last event it handled
   * misses nothing, even while it is not running.
   *
   * @throws {StorageError} INVALID_ARGUMENT, at once; with the first event, if `since` is not a position · NOT_FOUND: events after
   *   `since` were dropped, or the store has not reached `since`, because it was restored from a backup or the position belongs to
   *   another store · CORRUPT: an event is damaged; you can continue after it · ABORTED · CLOSED: with `follow`, when the store closes.
   */
  events(options: EventsOptions = {}): AsyncIterableIterator<Logged<DurableEvent>, void, void> {
    this.#calls.enter('events')
    const checked = checkEventsOptions(options)
    return this.#calls.iterate('events', checked.signal, (signal) =>
      readEvents(this.#services, this.#changes, checked, signal),
    )
  }

  /**
   * Reads copies whole, one at a time, and records their state: `synced`, `corrupt` (wrong bytes), `unknown` (somebody changed it),
   * `missing` (certainly gone). It also reads copies found bad before, which are `synced` again if they are whole. It repairs nothing.
   * A copy that cannot be judged is not marked: its result says `checked: false`. After five of these in a row the rest of the
   * backend is skipped, with a result whose `key` is `null`.
   *
   * Every result has a cursor: pass it as `after` to continue behind it, even days later. Works in a process that does not sync.
   *
   * @throws {StorageError} INVALID_ARGUMENT, at once · ABORTED · CLOSED. Never the error of a backend.
   */
  verify(options: VerifyOptions<Names> = {}): AsyncIterableIterator<VerifyResult, void, void> {
    this.#calls.enter('verify')
    const checked = checkVerifyOptions(this.#services, options)
    return this.#calls.iterate('verify', checked.signal, (signal) =>
      verify(this.#services, checked, this.#committed, signal),
    )
  }

  /**
   * Repairs the copies of a blob that were found damaged, missing or changed. It reads each of them again; then it reads and verifies
   * good bytes, from staging, the read cache or any other copy, and queues the bad copies again, in one commit. `synced` waits for
   * them. A copy that somebody changed is first kept as `<key>.stored-kept-<time>` on the same backend; the result names it. A key
   * stands for its own copies and those that all keys share, an id for all copies.
   *
   * @throws {StorageError} NOT_FOUND: the name is unknown · the errors of all copies if none is good: nothing is changed ·
   *   STAGING_FULL · ABORTED.
   */
  repair(idOrKey: string, options: RepairOptions = {}): Promise<RepairResult> {
    return this.#calls.call({ op: 'repair', key: idOrKey }, [options, REPAIR_OPTIONS], async (checked, signal) => {
      const result = await repair(this.#services, idOrKey, checked, signal)
      if (result.copies.length > 0) this.#committed()
      return result
    })
  }

  /**
   * Gives up a copy, or the removal of one, and leaves the object there. The record of the copy and its job are removed. The backend
   * is not asked, and need not be configured.
   *
   * @param place The copy, by its key on the backend.
   * @throws {StorageError} NOT_FOUND: the place is unknown · PRECONDITION_FAILED: no synced or staged copy would remain ·
   *   UNAVAILABLE: a job is running there.
   */
  forget(place: Place, options: ForgetOptions = {}): Promise<ForgottenCopy> {
    return this.#calls.call({ op: 'forget' }, [options, FORGET_OPTIONS], async (checked, signal) => {
      const forgotten = await forget(this.#services, place, checked, signal)
      if (!checked.dryRun) this.#committed()
      return forgotten
    })
  }

  /** Takes no more jobs, gives running jobs and calls 5 s, and closes everything. The next start continues the queue. */
  close(): Promise<void> {
    this.#calls.close()
    this.#closed ??= this.#close()
    return this.#closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    const { syncer, backends, staging, cache, ledger } = this.#services
    const patience = setTimeout(() => this.#calls.abort(), CLOSE_GRACE_MS)
    // What calls under way failed with, their callers were told.
    // Staging first: a put that waits for room waits for nothing now.
    const [staged, syncing] = await Promise.allSettled([staging.close(), syncer.close(), ...this.#calls.busy])
    const ended = [staged, syncing]
    clearTimeout(patience)
    for (const received of this.#held) await Promise.allSettled([received[Symbol.asyncDispose]()])
    // What still waits, such as synced(), waits for nothing now.
    this.#calls.abort()
    this.#unsubscribe()
    ended.push(...(await Promise.allSettled(backends.all().map(({ backend }) => backend.close()))))
    ended.push(...(await Promise.allSettled([cache?.close()])))
    // Whatever failed before: an environment left open could not be opened again.
    ended.push(...(await Promise.allSettled([ledger.close()])))
    const failed = ended.find((one) => one?.status === 'rejected')
    if (failed?.status === 'rejected') throw toStorageError(failed.reason, { op: 'close' })
  }

  /** Notifies those that wait, here and in other processes. */
  readonly #committed = (...events: readonly StoreEvent[]): void => {
    this.#changes.notify()
    this.#services.syncer.ring()
    for (const event of events) this.#events.emit(event)
  }

  readonly #isConfigured = (backend: string): boolean => this.#services.backends.has(backend)
}
