import { createHash } from 'node:crypto'
import type {
  BlobFacts,
  BlobId,
  Committed,
  Index,
  Ledger,
  LocationFacts,
  NewBinding,
  Queue,
  Staging,
  Transaction,
} from '@stored/core'
import { StorageError } from '@stored/core/backend'

/** An implementation of the ports, fresh and empty. */
export interface Subject {
  readonly ledger: Ledger
  readonly index: Index
  readonly queue: Queue
  readonly staging: Staging
  /** Names of the files that staging has on the disk. */
  files(): Promise<string[]>
  close(): Promise<void>
}

export interface Ports {
  readonly name: string
  open(): Promise<Subject>
  /** Whether what was committed outlives `close`. */
  readonly durable: boolean
  /** Closes a subject and opens what it left. */
  reopen?(subject: Subject): Promise<Subject>
}

/** The subject of the present test. */
export type Current = () => Subject

export const NEVER: AbortSignal = new AbortController().signal

/** The id of the blob with this text. */
export function idOf(text: string): BlobId {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`
}

export function factsOf(text: string, more: Partial<BlobFacts> = {}): BlobFacts {
  const id = idOf(text)
  return {
    id,
    checksums: { sha256: id.slice('sha256:'.length) },
    size: text.length,
    ...more,
  }
}

/** A key bound to the blob with this text. */
export function bindingOf(key: string, text: string, more: Partial<NewBinding> = {}): NewBinding {
  const time = 1_732_844_100_000
  const facts = { mimeType: 'text/plain', created: time, modified: time, custom: {} }
  return { key, id: idOf(text), size: text.length, ...facts, wanted: {}, ...more }
}

export function locationOf(
  text: string,
  backend: string,
  key: string,
  more: Partial<LocationFacts> = {},
): LocationFacts {
  return { backend, key, id: idOf(text), state: 'pending', ...more }
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

export async function collectPages<T>(pages: AsyncIterable<readonly T[]>): Promise<T[]> {
  return (await collect(pages)).flat()
}

export async function* chunksOf(...chunks: (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield Buffer.from(chunk)
}

/** Writes with `write`, in a commit of its own. */
export function commit<T>({ ledger }: Subject, write: (tx: Transaction) => T): Promise<Committed<T>> {
  return ledger.transact(write)
}

/** Has the plan that calls it rejected. */
export function failPlan(): never {
  throw new StorageError('CONFLICT', { op: 'commit' })
}
