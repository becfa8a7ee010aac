import path from 'node:path'
import { checksums } from '@stored/checksumd'
import { StoreD } from '@stored/core'
import { MemoryBackend, MemoryPlace, type PutOptions, type Stat } from '@stored/core/backend'
import { BlobIndex } from '@stored/index'
import { MemoryLedger, type TreeLedger } from '@stored/ledger'
import { DurableStaging } from '@stored/staging'
import { JobQueue, SyncD } from '@stored/syncd'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { collect, type TempDirectory, temp } from './temp.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const NEVER = Number.POSITIVE_INFINITY

/** Ends where it stands: nothing it still does is committed. */
class Life {
  isDead = false

  ledgerOf(ledger: MemoryLedger): TreeLedger {
    const transact: TreeLedger['transact'] = (write) => (this.isDead ? new Promise(() => {}) : ledger.transact(write))
    const get = (_: unknown, name: keyof TreeLedger) => {
      if (name === 'transact') return transact
      if (name === 'close') return async () => {}
      const value = ledger[name]
      return typeof value === 'function' ? value.bind(ledger) : value
    }
    return new Proxy<TreeLedger>(ledger, { get: get as ProxyHandler<TreeLedger>['get'] & object })
  }

  end(): void {
    this.isDead = true
  }
}

/** A memory whose puts take as long as they are told, by key; `kills` ends the process that begins one. */
class SlowBackend extends MemoryBackend {
  readonly #world: World

  constructor(world: World) {
    super({ place: world.place })
    this.#world = world
  }

  override async put(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Stat> {
    this.#world.begun.push(key)
    if (this.#world.kills.has(key)) this.#world.life.end()
    if (this.#world.life.isDead) return new Promise(() => {})
    const ms = this.#world.takes.get(key) ?? 0
    if (ms === NEVER) return new Promise(() => {})
    for (let passed = 0; passed < ms; passed += SECOND) {
      await new Promise((resolve) => setTimeout(resolve, SECOND))
      options.onSent?.(passed + 1)
    }
    return super.put(key, body, options)
  }
}

/** One store, and the processes that have it open one after the other. */
class World {
  readonly place = new MemoryPlace()
  readonly begun: string[] = []
  readonly takes = new Map<string, number>()
  readonly kills = new Set<string>()
  readonly #ledger = new MemoryLedger()
  readonly #directory: string
  life = new Life()
  store!: StoreD<'a'>

  constructor(directory: string) {
    this.#directory = directory
  }

  async start(boot = 'monday'): Promise<void> {
    this.life = new Life()
    const ledger = this.life.ledgerOf(this.#ledger)
    const [index, queue] = [new BlobIndex(ledger), new JobQueue(ledger)]
    const staging = await DurableStaging.open({ ledger, path: path.join(this.#directory, 'staging') })
    const syncer = await SyncD.open({ ledger, index, queue, staging, boot })
    const services = { ledger, index, queue, staging, syncer, checksums, mimeTypeOf: () => 'text/plain' }
    const backends = { a: { backend: new SlowBackend(this), concurrency: 4 } }
    this.store = new StoreD<'a'>({ ...services, backends, defaultBackends: ['a'] })
    await settle()
  }

  async putAll(keys: readonly string[]): Promise<void> {
    for (const key of keys) await this.store.put(Buffer.from(`bytes of ${key}`), { key })
    await settle()
  }

  jobs() {
    return collect(this.store.jobs())
  }
}

/** Lets run whatever needs no timer. */
async function settle(): Promise<void> {
  for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve))
}

async function pass(ms: number, stepMs = Math.min(ms, SECOND)): Promise<void> {
  for (let passed = 0; passed < ms; passed += stepMs) {
    await vi.advanceTimersByTimeAsync(stepMs)
    await settle()
  }
}

describe('a process that dies', () => {
  let dir: TempDirectory
  let world: World

  beforeEach(async () => {
    dir = await temp()
    vi.useFakeTimers({
      toFake: ['Date', 'setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'performance'],
      now: 1_732_844_100_000,
    })
    world = new World(dir.path)
    await world.start()
  })

  afterEach(async () => {
    world.life.end()
    vi.useRealTimers()
    await dir[Symbol.asyncDispose]()
  })

  test('with its machine, five times, leaves a long upload innocent', async () => {
    world.takes.set('long', NEVER)
    await world.putAll(['long'])
    for (let cut = 0; cut < 5; cut++) {
      world.life.end()
      await world.start(`boot ${cut}`)
    }
    expect(world.begun).toHaveLength(6)
    const [job] = await world.jobs()
    expect(job).toMatchObject({ key: 'long', state: 'running' })
    expect(job?.crashes).toBeUndefined()
  })

  test('minutes after an upload began, five times, leaves it innocent', async () => {
    world.takes.set('long', HOUR)
    await world.putAll(['long'])
    for (let kill = 0; kill < 5; kill++) {
      await pass(3 * MINUTE)
      world.life.end()
      await world.start()
    }
    expect((await world.jobs())[0]?.crashes).toBeUndefined()
    world.takes.clear()
    world.life.end()
    await world.start('tuesday')
    expect(await world.jobs()).toEqual([])
  })

  test('at the same job three times parks that, and does all others', async () => {
    world.life.end()
    world.kills.add('poison')
    world.takes.set('slow', 10 * SECOND)
    const keys = ['a', 'slow', 'poison', 'b', 'c', 'd', 'e']
    await world.start()
    await world.store.pause('a')
    await world.putAll(keys)
    await world.store.resume('a')
    let deaths = 0
    for (let step = 0; step < 600 && (await world.jobs()).some(({ state }) => state !== 'parked'); step++) {
      await pass(SECOND)
      if (!world.life.isDead) continue
      deaths++
      await world.start()
    }
    expect(await world.jobs()).toMatchObject([
      { key: 'poison', state: 'parked', crashes: 3, error: { code: 'INTERNAL' } },
    ])
    expect([...world.place.blobs.keys()].sort()).toEqual(keys.filter((key) => key !== 'poison').sort())
    expect(deaths).toBeLessThanOrEqual(5)
  })

  test('and was parked for it is tried again after an hour, then after two, and is done once it kills no more', async () => {
    world.kills.add('poison')
    await world.putAll(['poison'])
    for (let deaths = 0; deaths < 3; deaths++) await world.start()
    const triesOf = () => world.begun.length
    expect(triesOf()).toBe(3)
    expect(await world.jobs()).toMatchObject([{ state: 'parked', crashes: 3 }])
    await pass(HOUR - MINUTE, MINUTE)
    expect(triesOf()).toBe(3)
    await pass(2 * MINUTE)
    expect(triesOf()).toBe(4)
    await world.start()
    expect(await world.jobs()).toMatchObject([{ state: 'parked', crashes: 4 }])
    world.kills.clear()
    await pass(2 * HOUR - MINUTE, MINUTE)
    expect(triesOf()).toBe(4)
    expect((await world.store.stat('poison'))?.locations[0]?.state).toBe('failed')
    await pass(2 * MINUTE)
    expect(await world.jobs()).toEqual([])
    expect((await world.store.stat('poison'))?.locations[0]).toMatchObject({ state: 'synced' })
    expect((await world.store.stat('poison'))?.locations[0]?.error).toBeUndefined()
  })

  test('again and again, seconds after it began, loses no upload: within a day all are there', async () => {
    for (const key of ['a', 'b', 'c']) world.takes.set(key, 30 * SECOND)
    await world.putAll(['a', 'b', 'c'])
    for (let kill = 0; kill < 12; kill++) {
      await pass(20 * SECOND)
      world.life.end()
      await world.start()
    }
    for (let hour = 0; hour < 24 && (await world.jobs()).length > 0; hour++) await pass(HOUR, 10 * SECOND)
    expect(await world.jobs()).toEqual([])
    expect([...world.place.blobs.keys()].sort()).toEqual(['a', 'b', 'c'])
  })
})
