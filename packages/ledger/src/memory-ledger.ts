import type { Committed, DurableEvent, LedgerTable, Logged, Position, Transaction, View } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import { requireFunction } from './draft.ts'
import { EventLog, type EventLogOptions } from './event-log.ts'
import { ExtensionTable } from './extension-table.ts'
import { Group, type Numbers, type Run } from './group.ts'
import { nameOf } from './key-name.ts'
import { type Piece, type Range, TREES, type Tree, type TreeLedger, unknownTree, writerOf } from './ledger.ts'
import { pieceIn } from './packs.ts'
import { Rehearsal } from './purity.ts'
import type { Sink } from './sink.ts'
import { SortedTree } from './sorted-tree.ts'

/** How a ledger in memory is opened. */
export interface MemoryLedgerOptions extends EventLogOptions {
  /** Gives out tickets that do not rise: what takes them for an order is found out. @default whether STORED_TICKETS is `scrambled` */
  scrambleTickets?: boolean
  /** Hears of a TypeError that a plan or a look threw over rows that were guessed, which is discarded. */
  onGuessError?: (error: TypeError) => void
}

/**
 * A ledger that lives and dies with the process: for tests, and for stores that need not last. It runs each plan and each look several
 * times, also over rows that are not there, and rejects those that are no pure function of what they read.
 */
export class MemoryLedger implements TreeLedger, Sink {
  readonly #trees = new Map<Tree, SortedTree>(TREES.map((tree) => [tree, new SortedTree()]))
  readonly #log: EventLog
  readonly #rehearsal: Rehearsal
  readonly #run: Run
  #numbers: Numbers = { seq: 0, ticket: 0 }
  #closed = false

  constructor(options: MemoryLedgerOptions = {}) {
    const { scrambleTickets = process.env.STORED_TICKETS === 'scrambled', onGuessError, ...log } = options
    this.#log = new EventLog(this, () => this.seq, log)
    this.#rehearsal = new Rehearsal(onGuessError)
    this.#run = (plan, base, own) =>
      this.#rehearsal.plan(plan, base, scrambleTickets ? { ...own, ticket: scrambled(own.ticket) } : own)
  }

  async look<T>(read: (view: View) => T): Promise<T> {
    requireFunction('a look', read)
    if (this.#closed) throw new StorageError('CLOSED', { op: 'read' })
    return this.#rehearsal.look(read, this)
  }

  transact<T>(plan: (tx: Transaction) => T): Promise<Committed<T>> {
    return new Promise((resolve, reject) => {
      requireFunction('a plan', plan)
      if (this.#closed) throw new StorageError('CLOSED', { op: 'commit' })
      const group = new Group(this, this.#log, this.#numbers, this.#run)
      group.add({ plan, now: Date.now(), resolve, reject })
      group.end()
      this.#numbers = group.numbers
      for (const one of group.tell) one()
    })
  }

  table<T>(owner: string, name: string): LedgerTable<T> {
    return new ExtensionTable(this, owner, name)
  }

  record(tx: Transaction, event: DurableEvent): void {
    writerOf(tx).record(event)
  }

  events(o: { since: number | Position; signal: AbortSignal }): AsyncIterable<Logged<DurableEvent>[]> {
    return this.#log.events(o)
  }

  /** There is no other process. */
  refresh(): void {}

  get seq(): number {
    return this.#numbers.seq
  }

  get<T>(tree: Tree, key: Uint8Array, decode: (value: Buffer) => T): T | undefined {
    const value = this.#tree(tree).get(nameOf(key))
    return value === undefined ? undefined : decode(value)
  }

  range(tree: Tree, { from, to, limit = 500 }: Range): [Buffer, Buffer][] {
    return this.#tree(tree).range(nameOf(from), nameOf(to), limit)
  }

  piece<T>(piece: Piece, decode: (bytes: Buffer) => T): T | undefined {
    return pieceIn(this, piece, decode)
  }

  put(tree: Tree, key: Uint8Array, value: Uint8Array): void {
    this.#tree(tree).set(nameOf(key), Buffer.from(value))
  }

  remove(tree: Tree, key: Uint8Array): void {
    this.#tree(tree).delete(nameOf(key))
  }

  /** Nothing here can fail half-way. */
  readonly degraded = null

  onDegraded(): () => void {
    return () => {}
  }

  disk(): null {
    return null
  }

  /** Memory has no reserve. */
  requireSpace(): void {}

  async close(): Promise<void> {
    this.#closed = true
  }

  useTree(tree: Tree): void {
    if (!this.#trees.has(tree)) this.#trees.set(tree, new SortedTree())
  }

  #tree(name: Tree): SortedTree {
    const tree = this.#trees.get(name)
    if (!tree) throw unknownTree(name)
    return tree
  }
}

const SCRAMBLED_BITS = 24

/** The lowest bits in reverse: unique still, and in no order. */
function scrambled(ticket: bigint): bigint {
  const low = ticket & ((1n << BigInt(SCRAMBLED_BITS)) - 1n)
  const reversed = low.toString(2).padStart(SCRAMBLED_BITS, '0').split('').reverse().join('')
  return ticket - low + BigInt(`0b${reversed}`)
}
