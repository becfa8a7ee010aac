import type { BlobId, StoreD } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import { idOf } from '../temp.ts'
import type { History } from './history.ts'
import type { Random } from './random.ts'

export const NAMES = ['a', 'b', 'c'] as const
export type Name = (typeof NAMES)[number]
/** How often each call is made, of all. */
export const WEIGHTS = {
  put: 28,
  putSome: 14,
  putIfAbsent: 5,
  putIfMatch: 5,
  /** Under the key that follows from the bytes. */
  putById: 0,
  deleteKey: 12,
  deleteId: 5,
  dropCopies: 7,
  forget: 2,
  get: 12,
  stat: 3,
  list: 3,
  synced: 2,
  retry: 3,
  pause: 3,
  resume: 5,
  verify: 1,
  repair: 3,
  removeBackend: 1,
  addBackend: 2,
}
export type Kind = keyof typeof WEIGHTS

/** A call, decided before the storm begins: what it is does not depend on how the others end. */
export interface Call {
  readonly kind: Kind
  readonly key: string
  readonly blob: number
  readonly other: number
  readonly backends: readonly Name[]
  /** How long its caller waits before it, in milliseconds. */
  readonly afterMs: number
}

export interface CallChoice {
  readonly keys: readonly string[]
  /** How many there are. */
  readonly blobs: number
  readonly weights: Readonly<Record<Kind, number>>
}

export function callOf(random: Random, { keys, blobs, weights }: CallChoice): Call {
  const some = NAMES.filter(() => random.next() < 0.5)
  return {
    kind: random.weighted(weights),
    key: random.pick(keys),
    blob: random.below(blobs),
    other: random.below(blobs),
    backends: some.length > 0 ? some : [random.pick(NAMES)],
    afterMs: random.next() < 0.5 ? 0 : random.below(12),
  }
}

export interface Caller {
  readonly store: StoreD<Name>
  readonly keys: readonly string[]
  readonly blobs: readonly Buffer[]
  /** Whether an object of one blob can lie where one of another shall be: backends had another layout, or the store another prefix. */
  readonly hasFormerLayouts: boolean
  readonly history: History
  /** Adds the backend that comes and goes. */
  add(): Promise<void>
}

/** What a call may be refused with, whatever else happens. */
const REFUSALS: Readonly<Partial<Record<Kind, readonly string[]>>> = {
  put: ['STAGING_FULL'],
  putIfAbsent: ['STAGING_FULL'],
  putIfMatch: ['STAGING_FULL'],
  putById: ['STAGING_FULL'],
  // The backend was removed at that moment.
  putSome: ['INVALID_ARGUMENT', 'STAGING_FULL'],
  dropCopies: ['INVALID_ARGUMENT', 'PRECONDITION_FAILED'],
  forget: ['NOT_FOUND', 'PRECONDITION_FAILED', 'UNAVAILABLE'],
  // In a store that does not sync nobody is waited for.
  synced: [
    'UNSUPPORTED',
    'NOT_FOUND',
    'ABORTED',
    'UNAVAILABLE',
    'ALREADY_EXISTS',
    'TOO_LARGE',
    'CHECKSUM_MISMATCH',
    'PRECONDITION_FAILED',
  ],
  pause: ['INVALID_ARGUMENT'],
  resume: ['INVALID_ARGUMENT'],
  // A copy may be the only one that is not damaged, and its backend fail.
  repair: ['NOT_FOUND', 'UNAVAILABLE', 'CONFLICT', 'STAGING_FULL'],
  removeBackend: ['INVALID_ARGUMENT', 'PRECONDITION_FAILED', 'CONFLICT'],
  addBackend: ['INVALID_ARGUMENT'],
}

/** What puts are refused with besides, where backends had another layout. */
const LAYOUT_REFUSALS: readonly string[] = ['KEY_CONFLICT', 'INVALID_KEY']

/** @returns What it should not have been refused with. */
export async function make(caller: Caller, call: Call): Promise<StorageError | null> {
  try {
    await CALLS[call.kind](caller, call)
    return null
  } catch (error) {
    if (!StorageError.is(error)) throw error
    if (caller.hasFormerLayouts && call.kind.startsWith('put') && LAYOUT_REFUSALS.includes(error.code)) return null
    return REFUSALS[call.kind]?.includes(error.code) ? null : error
  }
}

const CALLS: Readonly<Record<Kind, (caller: Caller, call: Call) => Promise<unknown>>> = {
  put: (caller, call) => put(caller, call, {}),
  putSome: (caller, call) => put(caller, call, { backends: call.backends }),
  putIfAbsent: (caller, call) => put(caller, call, { ifAbsent: true }),
  putIfMatch: (caller, call) => put(caller, call, { ifMatch: idOf(caller.blobs[call.other] as Buffer) }),

  async putById({ store, blobs, history }, { blob }) {
    const end = history.begin('put by its id')
    const { id, key } = await store.put(blobs[blob] as Buffer)
    end(key, { becomes: id })
  },

  async deleteKey({ store, history }, { key }) {
    const end = history.begin(`delete ${key}`)
    const { deleted } = await store.delete(key)
    end(key, deleted.length > 0 ? { found: { not: null }, becomes: null } : { found: { value: null } })
  },

  async deleteId({ store, keys, blobs, history }, { blob }) {
    const id = idOf(blobs[blob] as Buffer)
    const end = history.begin(`delete ${id.slice(7, 13)}`)
    const { deleted } = await store.delete(id)
    for (const key of keys)
      end(key, deleted.includes(key) ? { found: { value: id }, becomes: null } : { found: { not: id } })
  },

  dropCopies: ({ store, blobs }, { key, blob, other, backends }) =>
    store.delete(other % 2 === 0 ? key : idOf(blobs[blob] as Buffer), { backends }),

  forget: ({ store }, { key }) => store.forget({ backend: 'c', key }),

  async get({ store, history }, { key }) {
    const end = history.begin(`get ${key}`)
    try {
      end(key, { found: { value: idOf(await store.get(key, { fallback: true })) } })
    } catch (error) {
      // Of a copy that cannot be read nothing is learnt of the key.
      if (isCode(error, 'NOT_FOUND')) end(key, { found: { value: null } })
      else if (!isCode(error, 'UNAVAILABLE')) throw error
    }
  },

  async stat({ store, history }, { key }) {
    const end = history.begin(`stat ${key}`)
    end(key, { found: { value: (await store.stat(key))?.id ?? null } })
  },

  async list({ store, keys, history }) {
    const end = history.begin('list')
    const listed = new Map((await Array.fromAsync(store.list({ missing: true }))).map(({ key, id }) => [key, id]))
    // A listing is no picture of one moment: each of its rows is a read.
    for (const key of keys) end(key, { found: { value: listed.get(key) ?? null } })
  },

  async synced({ store }, { key, afterMs }) {
    const abort = new AbortController()
    const timer = setTimeout(() => abort.abort(), 20 + afterMs)
    await store.synced(key, { signal: abort.signal }).finally(() => clearTimeout(timer))
  },
  retry: ({ store }) => store.retry(),
  pause: ({ store }, { backends: [name] }) => store.pause(name as Name),
  resume: ({ store }, { backends: [name] }) => store.resume(name as Name),
  verify: ({ store }) => Array.fromAsync(store.verify()),
  repair: ({ store, blobs }, { blob }) => store.repair(idOf(blobs[blob] as Buffer)),
  removeBackend: ({ store }, { other }) => store.removeBackend('c', { force: other % 2 === 0 }),
  addBackend: ({ add }) => add(),
}

async function put(
  { store, blobs, history }: Caller,
  { key, blob }: Call,
  options: { backends?: readonly Name[]; ifAbsent?: true; ifMatch?: BlobId },
): Promise<void> {
  const bytes = blobs[blob] as Buffer
  const id = idOf(bytes)
  const wanted = options.ifAbsent ? null : options.ifMatch
  const end = history.begin(`put ${id.slice(7, 13)} ${JSON.stringify(options)}`)
  try {
    const { locations } = await store.put(bytes, { key, ...options })
    for (const { backend, key: at, shared } of locations)
      if (!shared && at !== key) throw new Error(`${key} counts on the object of ${at} on ${backend}`)
    end(key, { becomes: id, ...(wanted !== undefined && { found: { value: wanted } }) })
  } catch (error) {
    if (wanted === undefined || !(isCode(error, 'ALREADY_EXISTS') || isCode(error, 'PRECONDITION_FAILED'))) throw error
    end(key, { found: { not: wanted } })
  }
}

function isCode(error: unknown, code: StorageError['code']): boolean {
  return StorageError.is(error) && error.code === code
}
