import { StorageError } from '@stored/core/backend'
import type { Reader, Steps, Tree, Writer } from './ledger.ts'

/** What an implementation does with the writes of a group, in order. */
export interface Sink extends Reader {
  put(tree: Tree, key: Uint8Array, value: Uint8Array): void
  remove(tree: Tree, key: Uint8Array): void
  /**
   * Is told of the writes of a caller before the first of them. Throws it, they are not made, and their caller alone fails.
   *
   * @param bytes Of all values.
   */
  expect?(rows: number, bytes: number): void
}

/** One caller of `transact`, waiting for its commit. */
export interface Caller {
  readonly steps: Steps
  resolve(result: { seq: number }): void
  reject(error: unknown): void
}

/**
 * Applies the callers of a group one after the other, inside one transaction of the implementation.
 *
 * The steps of a caller run to their end before the first of their writes is applied: one that throws (a row that cannot be
 * decoded) fails its caller alone and leaves nothing behind.
 *
 * @returns What each caller is told once the commit is durable, and the last sequence number used.
 */
export function applyGroup(group: readonly Caller[], sink: Sink, seq: number): { tell: (() => void)[]; seq: number } {
  let last = seq
  const sums = new Sums(sink)
  const tell = group.map((caller) => {
    const collected = new Collected(sums, last + 1)
    try {
      if (!caller.steps.guards.every((check) => check(sums)))
        throw new StorageError('CONFLICT', { op: 'commit' }, { detail: 'a row changed since it was read' })
      for (const step of caller.steps.writes) step(collected)
      collected.makeRoom(sink)
    } catch (error) {
      return () => caller.reject(error)
    }
    // What fails from here on fails the group: half a caller's writes are there, and nothing takes them back.
    collected.applyTo(sink, sums)
    last++
    return settle(caller, last)
  })
  sums.write()
  return { tell, seq: last }
}

function settle(caller: Caller, seq: number): () => void {
  return () => {
    caller.resolve({ seq })
    for (const action of caller.steps.afterwards) attempt(action)
  }
}

/** What throws after a commit cannot fail it, and must not keep others from hearing of theirs. */
export function attempt(action: () => void): void {
  try {
    action()
  } catch (error) {
    process.emitWarning(error instanceof Error ? error : String(error), { code: 'STORED_COMMIT' })
  }
}

/** Of lmdb-js. Met only when a write is applied, a longer key would leave half a transaction behind. */
const MAX_KEY_BYTES = 1978

function checkLength(key: Uint8Array): void {
  if (key.length <= MAX_KEY_BYTES) return
  const detail = `a row's key takes ${key.length} bytes of ${MAX_KEY_BYTES}`
  throw new StorageError('INVALID_KEY', { op: 'commit' }, { detail })
}

/** What is added to rows of numbers, from all callers of a group: each row is read and written once, not once a caller. */
class Sums implements Reader {
  readonly #sink: Sink
  readonly #byTree = new Map<Tree, Map<string, Sum>>()

  constructor(sink: Sink) {
    this.#sink = sink
  }

  get: Reader['get'] = (tree, key, decode) => {
    if (this.#byTree.has(tree)) this.write()
    return this.#sink.get(tree, key, decode)
  }

  range: Reader['range'] = (tree, range) => {
    if (this.#byTree.has(tree)) this.write()
    return this.#sink.range(tree, range)
  }

  add({ tree, key, deltas }: Sum): void {
    const sums = this.#byTree.get(tree) ?? new Map<string, Sum>()
    this.#byTree.set(tree, sums)
    const name = Buffer.from(key).toString('latin1')
    const former = sums.get(name)
    sums.set(name, { tree, key, deltas: former ? sum(former.deltas, deltas) : deltas })
  }

  /** Whoever reads such a tree finds what was added; else this waits for the end of the group. */
  write(): void {
    for (const sums of this.#byTree.values())
      for (const { tree, key, deltas } of sums.values())
        this.#sink.put(tree, key, encodeNumbers(sum(this.#sink.get(tree, key, decodeNumbers) ?? [], deltas)))
    this.#byTree.clear()
  }
}

class Collected implements Writer {
  readonly #reader: Reader
  readonly #writes: { tree: Tree; key: Uint8Array; value: Uint8Array | null }[] = []
  readonly #added: Sum[] = []
  readonly seq: number

  constructor(reader: Reader, seq: number) {
    this.#reader = reader
    this.seq = seq
  }

  get: Reader['get'] = (tree, key, decode) => this.#reader.get(tree, key, decode)
  range: Reader['range'] = (tree, range) => this.#reader.range(tree, range)

  put(tree: Tree, key: Uint8Array, value: Uint8Array): void {
    checkLength(key)
    this.#writes.push({ tree, key, value })
  }

  remove(tree: Tree, key: Uint8Array): void {
    checkLength(key)
    this.#writes.push({ tree, key, value: null })
  }

  add(tree: Tree, key: Uint8Array, deltas: readonly number[]): void {
    checkLength(key)
    this.#added.push({ tree, key, deltas })
  }

  makeRoom(sink: Sink): void {
    const bytes = this.#writes.reduce((total, { value }) => total + (value?.length ?? 0), 0)
    sink.expect?.(this.#writes.length + this.#added.length, bytes)
  }

  applyTo(sink: Sink, sums: Sums): void {
    for (const { tree, key, value } of this.#writes) {
      if (value === null) sink.remove(tree, key)
      else sink.put(tree, key, value)
    }
    for (const added of this.#added) sums.add(added)
  }
}

interface Sum {
  readonly tree: Tree
  readonly key: Uint8Array
  readonly deltas: readonly number[]
}

function sum(a: readonly number[], b: readonly number[]): number[] {
  return b.map((delta, i) => (a[i] ?? 0) + delta)
}

/** A row of numbers. */
export function encodeNumbers(numbers: readonly number[]): Buffer {
  const bytes = Buffer.allocUnsafe(numbers.length * 8)
  for (const [i, number] of numbers.entries()) bytes.writeDoubleBE(number, i * 8)
  return bytes
}

/** The numbers that `Writer.add` keeps. */
export function decodeNumbers(bytes: Buffer): number[] {
  return Array.from({ length: bytes.length / 8 }, (_, i) => bytes.readDoubleBE(i * 8))
}
