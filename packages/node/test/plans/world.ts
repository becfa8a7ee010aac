import { checksums } from '@stored/checksumd'
import {
  type BlobFacts,
  type BlobId,
  type Location,
  type LocationFacts,
  type LocationState,
  type NewBinding,
  StoreD,
  type Transaction,
} from '@stored/core'
import { MemoryBackend, StorageError } from '@stored/core/backend'
import { BlobIndex } from '@stored/index'
import { MemoryLedger } from '@stored/ledger'
import { DurableStaging } from '@stored/staging'
import { JobQueue, SyncD } from '@stored/syncd'
import { idOf, temp } from '../temp.ts'

export const A = Buffer.from('a')
export const B = Buffer.from('b')
export const ID_A: BlobId = idOf(A)
export const ID_B: BlobId = idOf(B)

/** Where the object of all keys of a blob lies. */
export function idKeyOf(id: BlobId): string {
  const hash = id.slice('sha256:'.length)
  return `blobs/sha256/${hash.slice(0, 2)}/${hash.slice(2, 4)}/${hash}`
}

export function factsOf(id: BlobId, more: Partial<BlobFacts> = {}): BlobFacts {
  const checksums = { sha256: id.slice('sha256:'.length) }
  return { id, checksums, size: 1, ...more }
}

/** A key of a blob that wants these copies: its own, and those that all keys share. */
export function bindingOf(
  key: string,
  id: BlobId,
  copies: readonly LocationFacts[] = [],
  more: Partial<NewBinding> = {},
): NewBinding {
  const theirs = copies.filter((copy) => copy.id === id && (copy.shared || copy.key === key))
  const wanted = theirs.map(({ backend, shared }) => [backend, shared ? ('shared' as const) : ('own' as const)])
  const facts = { mimeType: 'text/plain', created: 1, modified: 1, custom: {} }
  return { key, id, size: 1, ...facts, wanted: Object.fromEntries(wanted), ...more }
}

export function at(
  id: BlobId,
  backend: string,
  key: string,
  state: LocationState,
  more: Partial<LocationFacts> = {},
): LocationFacts {
  return { backend, key, id, state, ...more }
}

export type World = Awaited<ReturnType<typeof openWorld>>

/**
 * A store that nobody syncs, with backends `x` and `y` of layout key and `s` of layout id, on a ledger that runs each plan several times,
 * also over rows that are not there: a plan that is no pure function of what it reads is rejected.
 */
export async function openWorld() {
  const directory = await temp()
  const ledger = new MemoryLedger()
  const index = new BlobIndex(ledger)
  const queue = new JobQueue(ledger)
  const staging = await DurableStaging.open({ ledger, path: directory.path })
  const syncer = await SyncD.open({ ledger, index, queue, staging, sync: false })
  const backends = {
    x: { backend: new MemoryBackend() },
    y: { backend: new MemoryBackend() },
    s: { backend: new MemoryBackend(), layout: 'id' as const },
  }
  const services = { ledger, index, queue, staging, syncer, checksums, mimeTypeOf: () => 'text/plain' }
  const store = new StoreD<string>({ ...services, backends })

  const commit = (plan: (tx: Transaction) => void) => ledger.transact((tx) => void plan(tx))
  /** A blob under some keys, with copies as given; the bytes are staged only by `put`. */
  const given = (id: BlobId, keys: readonly string[], ...copies: LocationFacts[]) =>
    commit((tx) => {
      index.keep(tx, factsOf(id))
      for (const key of keys) index.bind(tx, bindingOf(key, id, copies))
      for (const copy of copies) index.locate(tx, copy)
    })
  /** A try of the job of a place was begun, and failed for good. */
  const tryInVain = async (id: BlobId, backend: string, key: string) => {
    await commit((tx) => queue.enqueue(tx, { op: 'put', backend, key, id, size: 1 }))
    const [job] = await queue.claim(backend, { max: 1, leaseMs: 60_000, key })
    if (job) await commit((tx) => queue.park(tx, job, new StorageError('TOO_LARGE', { op: 'put' })))
  }
  const row = async (backend: string, key: string): Promise<LocationFacts | null> => {
    const location = await ledger.look((view) => index.location(view, { backend, key }))
    return location && bare(location)
  }
  const jobs = async () =>
    (await Array.fromAsync(queue.jobs({ state: 'waiting' })))
      .flat()
      .map(({ op, backend, key }) => `${op} ${backend}/${key}`)
      .sort()
  const isKnown = (id: BlobId) => ledger.look((view) => index.facts(view, id) !== null)
  const isStaged = (id: BlobId) => ledger.look((view) => staging.has(view, id))
  /** Bytes that are staged although no job of this store owes them yet. */
  const stage = async (id: BlobId, bytes: Uint8Array) => {
    await using staged = await staging.receive(one(bytes), { signal: new AbortController().signal, whenFull: 'wait' })
    await commit((tx) => staging.keep(tx, id, staged))
  }
  const events = () => Array.fromAsync(store.events())
  return {
    ...{ store, ledger, index, queue, staging, commit, given, tryInVain, row, jobs, isKnown, isStaged, stage, events },
    async [Symbol.asyncDispose]() {
      await store.close()
      await directory[Symbol.asyncDispose]()
    },
  }
}

export function bare({ rev: _, ...facts }: Location): LocationFacts {
  return facts
}

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}
