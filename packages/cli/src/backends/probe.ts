import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type GuardedBackend, guardBackend, sameMark } from '@stored/core'
import { type Capabilities, type LogEvent, StorageError } from '@stored/core/backend'
import type { StoreConfig } from '@stored/node'

const PROBE_BYTES = 1024
/** How long removing the probe's blob may take after the probe failed or was interrupted. */
const CLEAN_UP_MS = 5_000

type BackendConfig = StoreConfig['backends'][string]

/** What a probe measured. */
export interface Probe {
  readonly driver: string
  readonly capabilities: Capabilities
  /**
   * Duration of each step in milliseconds: connect, write, read, list, delete. A read-only backend only connects and
   * lists.
   */
  readonly steps: Readonly<Record<string, number>>
  /**
   * How far its clock is ahead of ours (positive) or behind (negative), in milliseconds; `null` if it reports no times.
   */
  readonly clockDriftMs: number | null
}

/**
 * Connects to a backend, stores a small blob under a key of its own, then reads, lists and removes it. Leaves nothing
 * behind.
 *
 * @param o.medium The medium the store remembers for it. A different or missing one is refused, and nothing is created
 *   in its place.
 * @param o.log Receives what the driver logs.
 * @param o.others The media it remembers for the other backends, by name; any of them is refused.
 * @throws {StorageError} The backend's first failure.
 */
export async function probe(
  name: string,
  config: BackendConfig,
  o: {
    readonly medium: string | undefined
    readonly others?: ReadonlyMap<string, string>
    readonly log?: (event: LogEvent) => void
    readonly signal: AbortSignal
  },
): Promise<Probe> {
  const { resolveBackend } = await import('@stored/node/config')
  const { backend } = await resolveBackend(name, config)
  const { medium, others, log, signal } = o
  const check = async (found: string) => {
    for (const [other, theirs] of others ?? []) if (theirs === found) throw sameMark(name, other)
  }
  const memory = { known: async () => medium ?? null, remember: check, check }
  await using guard = guardBackend(backend, { name, retries: 0, medium: memory, ...(log && { log }) })
  const steps: Record<string, number> = {}
  const timed = async <T>(step: string, call: Promise<T>): Promise<T> => {
    const began = performance.now()
    const result = await call
    steps[step] = performance.now() - began
    return result
  }
  await timed('connect', guard.open({ signal }))
  const clockDriftMs = guard.capabilities.readOnly
    ? await timed('list', look(guard, signal)).then(() => null)
    : await useOnce(guard, timed, signal)
  return { driver: guard.driver, capabilities: guard.capabilities, steps, clockDriftMs }
}

type Timed = <T>(step: string, call: Promise<T>) => Promise<T>

async function look(guard: GuardedBackend, signal: AbortSignal): Promise<void> {
  for await (const _ of guard.list({ limit: 1, signal })) return
}

/** @returns Its clock drift. */
async function useOnce(guard: GuardedBackend, timed: Timed, signal: AbortSignal): Promise<number | null> {
  const key = `stored-test-${randomUUID()}`
  try {
    const bytes = randomBytes(PROBE_BYTES)
    const before = Date.now()
    const { sha256 } = await timed('write', guard.put(key, bytes, { size: bytes.length, signal }))
    const after = Date.now()
    await timed('read', readAll(guard, key, sha256, signal))
    const listed = await timed('list', find(guard, key, signal))
    const stat = await guard.stat(key, { signal })
    await timed('delete', guard.delete(key, { signal }))
    const modified = stat?.modified ?? listed.modified
    return modified === undefined ? null : driftOf(modified, before, after)
  } catch (error) {
    // If the backend is unreachable the blob stays, and the first failure is the one to report.
    await guard.delete(key, { signal: AbortSignal.timeout(CLEAN_UP_MS) }).catch(() => {})
    throw error
  }
}

async function readAll(guard: GuardedBackend, key: string, sha256: string, signal: AbortSignal): Promise<void> {
  for await (const _ of (await guard.get(key, { sha256, signal })).body);
}

async function find(guard: GuardedBackend, key: string, signal: AbortSignal): Promise<{ modified?: number }> {
  for await (const stat of guard.list({ prefix: key, signal })) return stat
  const at = { backend: guard.name, op: 'list', key }
  throw new StorageError('INTERNAL', at, { detail: 'it does not list a blob that was just stored' })
}

/** A time between the two is no evidence of drift. */
function driftOf(modified: number, before: number, after: number): number {
  if (modified > after) return modified - after
  return modified < before ? modified - before : 0
}

/**
 * Constructs a backend as the store would, without connecting. @throws {StorageError} What is wrong with its options.
 */
export async function tryOptions(name: string, config: BackendConfig): Promise<void> {
  const directory = await mkdtemp(path.join(tmpdir(), 'stored-test-'))
  try {
    const { openStore } = await import('@stored/node')
    // As part of a store, because some of the options belong to the store.
    const backends = { [name]: config }
    await (await openStore({ path: path.join(directory, 'store'), backends, cache: false })).close()
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}
