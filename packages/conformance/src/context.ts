import { type GuardedBackend, type GuardOptions, guardBackend } from '@stored/core'
import type { Capabilities, StorageBackend } from '@stored/core/backend'
import type { Case, Ctx, Profile } from './case.ts'
import { ChaosProxy } from './chaos-proxy.ts'
import { BrokenPromise, equal, rejects, sameBytes, within } from './expect.ts'
import type { Harness, OpenOptions } from './harness.ts'
import { payload } from './payload.ts'
import type { Outcome } from './report.ts'
import { collect } from './source.ts'
import { type Call, rawSubject, type Subject, spyOn, type View } from './subject.ts'
import { supervised } from './supervised.ts'

/** Longer than the 5 s that the contract gives `close`. */
const CLOSE_MS = 6_000
const DELETES_AT_ONCE = 16
const REMOVE_MS = 60_000

/** Thrown by `Ctx.skip`. */
export class Skipped extends Error {}

export interface RunState {
  readonly id: string
  readonly profile: Profile
  readonly seed: number
  /** Capabilities that a case has tested; whether it passed is its own result. */
  readonly tested: Set<string>
  /** The capabilities of the instance that was opened first. */
  capabilities: Capabilities | null
  /** The signal of the whole run. */
  readonly signal: AbortSignal | undefined
  /** Whether every case was requested, so that nothing missing was merely left out. */
  readonly complete: boolean
  /** How the views of each waived case ended, by id. */
  readonly waived: Map<string, readonly Outcome['status'][]>
}

export class CaseContext implements Ctx {
  readonly id: string
  readonly view: View
  readonly harness: Harness
  readonly scope: string
  readonly run: RunState
  /** Undeclared capabilities that were shown to be refused. */
  readonly refusals = new Set<string>()
  /** Calls that reached a driver and have not settled. */
  readonly pending = new Set<string>()
  readonly #deadline = new AbortController()
  readonly #opened: { close(): Promise<void> }[] = []
  #store: Subject | undefined
  /** Debris from before the case. */
  #debris: ReadonlySet<string> = new Set()

  constructor(harness: Harness, run: RunState, subject: Case, view: View) {
    const id = view === 'raw' ? `${subject.id}-raw` : subject.id
    this.id = subject.id
    this.view = view
    this.harness = harness
    this.run = run
    this.scope = harness.scope?.(id) ?? `t/${run.id}/${id}/`
  }

  get profile(): Profile {
    return this.run.profile
  }

  get seed(): number {
    return this.run.seed
  }

  get signal(): AbortSignal {
    return this.#deadline.signal
  }

  get capabilities(): Capabilities {
    return this.store.capabilities
  }

  get store(): Subject {
    if (!this.#store) throw new TypeError('the case has not been prepared')
    return this.#store
  }

  get guard(): GuardedBackend {
    if (this.view === 'raw') throw new TypeError(`${this.id} uses the guard and so cannot be run raw`)
    return this.store as GuardedBackend
  }

  async prepare(): Promise<void> {
    this.#store = await this.open()
    this.run.capabilities ??= this.#store.capabilities
    this.#debris = new Set(await this.harness.debris?.())
  }

  key(name: string): string {
    return this.scope + name
  }

  bytes(size: number, writer = 1): Uint8Array {
    return payload(this.seed, writer, size)
  }

  async driver(signal = this.signal): Promise<StorageBackend> {
    const driver = await this.#make({}, signal)
    await driver.open?.({ signal, log: () => {} })
    this.#opened.push({ close: async () => driver.close?.() })
    return driver
  }

  async open(): Promise<Subject> {
    return this.view === 'raw' ? rawSubject(await this.driver()) : this.#guarded(await this.#make())
  }

  async spied(replaced: Partial<StorageBackend> = {}): Promise<{ guard: GuardedBackend; calls: Call[] }> {
    const calls: Call[] = []
    const guard = await this.#guarded(spyOn(await this.#make(), calls, replaced))
    calls.length = 0
    return { guard, calls }
  }

  wrap(driver: StorageBackend, options: GuardOptions = {}): GuardedBackend {
    const guard = guardBackend(driver, options)
    this.#opened.push(guard)
    return guard
  }

  async through(options: GuardOptions = {}): Promise<{ guard: GuardedBackend; proxy: ChaosProxy }> {
    const { endpoint } = this.harness
    if (!endpoint) throw new TypeError(`${this.id} has to need the hook endpoint`)
    const proxy = await ChaosProxy.start(endpoint)
    this.#opened.push(proxy)
    const guard = await this.#guarded(await this.#make({ via: proxy.endpoint }), options)
    return { guard, proxy }
  }

  async #make(options: OpenOptions = {}, over = this.signal): Promise<StorageBackend> {
    return supervised(await this.harness.open(options), this.pending, over)
  }

  async #guarded(driver: StorageBackend, options: GuardOptions = {}): Promise<GuardedBackend> {
    const guard = this.wrap(driver, options)
    await guard.open()
    return guard
  }

  async read(key: string, from: Pick<Subject, 'get'> = this.store): Promise<Uint8Array> {
    return collect((await from.get(key)).body)
  }

  async names(prefix = '', from: Pick<Subject, 'list'> = this.store): Promise<string[]> {
    const names: string[] = []
    for await (const { key } of from.list({ prefix: this.key(prefix) })) names.push(key.slice(this.scope.length))
    return names
  }

  async holds(key: string, bytes: Uint8Array, from: Subject = this.store): Promise<void> {
    const stat = await from.stat(key)
    if (stat === null) throw new BrokenPromise(`stat of ${JSON.stringify(key)} finds it, but it answered null`)
    equal({ key: stat.key, size: stat.size }, { key, size: bytes.length }, `what stat says of ${JSON.stringify(key)}`)
    const got = await from.get(key)
    equal(got.stat.size, bytes.length, `the size that get reports of ${JSON.stringify(key)}`)
    sameBytes(this.seed, await collect(got.body), bytes, `the blob read from ${JSON.stringify(key)}`)
  }

  async lacks(key: string, from: Subject = this.store): Promise<void> {
    equal(await from.stat(key), null, `what stat says of ${JSON.stringify(key)}`)
    await rejects(from.get(key), 'NOT_FOUND', `get of ${JSON.stringify(key)}`)
    for await (const stat of from.list({ prefix: this.scope }))
      if (stat.key === key) throw new BrokenPromise(`list leaves out ${JSON.stringify(key)}, but it was listed`)
  }

  async debris(): Promise<readonly string[]> {
    return ((await this.harness.debris?.()) ?? []).filter((name) => !this.#debris.has(name))
  }

  async clean(): Promise<void> {
    equal(await this.debris(), [], 'what unfinished puts left behind')
  }

  refused(capability: string): void {
    this.refusals.add(capability)
  }

  skip(reason: string): never {
    throw new Skipped(reason)
  }

  expire(): void {
    this.#deadline.abort(new Error(`the time of ${this.id} is up`))
  }

  /**
   * Closes what was opened and removes what was stored. Failures here are for `lc` and `sd` to judge, not for this
   * case.
   */
  async dispose(): Promise<void> {
    const over = new AbortController()
    await within(this.#removeAll(over.signal), REMOVE_MS, 'the removal of what the case stored').catch(() => {})
    over.abort(new Error(`the time to clean up after ${this.id} is up`))
    await Promise.allSettled(this.#opened.map((opened) => within(opened.close(), CLOSE_MS, 'close')))
  }

  /** @param over The signal of the case has been aborted. */
  async #removeAll(over: AbortSignal): Promise<void> {
    const store = rawSubject(await this.driver(over))
    const atOnce = Math.min(DELETES_AT_ONCE, store.capabilities.limits?.maxConcurrent ?? DELETES_AT_ONCE)
    let batch: Promise<void>[] = []
    for await (const { key } of store.list({ prefix: this.scope })) {
      batch.push(store.delete(key))
      if (batch.length < atOnce) continue
      await Promise.allSettled(batch)
      batch = []
    }
    await Promise.allSettled(batch)
  }
}
