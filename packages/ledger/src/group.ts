import type { Committed, DurableEvent, Logged } from '@stored/core'
import { type Added, Draft, type Own, type Plan } from './draft.ts'
import type { EventLog } from './event-log.ts'
import { EventRows } from './event-rows.ts'
import { nameOf } from './key-name.ts'
import type { Reader, Tree } from './ledger.ts'
import { addNumbers, decodeNumbers, encodeNumbers } from './numbers.ts'
import { GroupPacks } from './packs.ts'
import type { Sink } from './sink.ts'

/** One caller of `transact`, waiting for its commit. */
export interface Caller extends Plan {
  resolve(result: Committed<never>): void
  reject(error: unknown): void
}

/** Runs a plan over the rows of `base`. */
export type Run = (plan: Plan['plan'], base: Reader, own: Own) => Draft

const runOnce: Run = (plan, base, own) => new Draft(base, own).run(plan)

/** The last number of a commit, and the last ticket that was given out. A ticket is never below the number of its own commit. */
export interface Numbers {
  readonly seq: number
  readonly ticket: number
}

/**
 * The plans of one commit. They run one after the other, each over what those before it wrote; what a plan collects is applied once
 * it has returned. One that throws fails alone and leaves nothing.
 */
export class Group {
  readonly #sink: Sink
  readonly #sums: Sums
  readonly #log: EventLog
  readonly #run: Run
  readonly #events = new EventRows()
  readonly #packs = new GroupPacks()
  readonly callers: Caller[] = []
  /** What each caller is told once the commit is durable. */
  readonly tell: (() => void)[] = []
  #seq: number
  #ticket: number

  constructor(sink: Sink, log: EventLog, { seq, ticket }: Numbers, run: Run = runOnce) {
    this.#sink = sink
    this.#sums = new Sums(sink, this.#packs)
    this.#log = log
    this.#run = run
    this.#seq = seq
    this.#ticket = Math.max(seq, ticket)
  }

  get numbers(): Numbers {
    return { seq: this.#seq, ticket: this.#ticket }
  }

  /** What throws here fails the group: half a plan's writes are there, and nothing takes them back. */
  add(caller: Caller): void {
    this.callers.push(caller)
    const draft = this.#draft(caller)
    if (!draft) return
    const events = draft.isEmpty ? [] : this.#apply(draft)
    const seq = this.#seq
    this.tell.push(() => {
      caller.resolve({ value: draft.value as never, position: String(seq), seq, events })
      for (const action of draft.actions) attempt(action)
    })
  }

  end(): void {
    const recorded = this.#log.append(this.#sink, this.#events)
    if (recorded) this.#sums.add(recorded)
    this.#sums.write()
    this.#packs.end(this.#sink)
    this.#log.trim(this.#sink)
  }

  #draft(caller: Caller): Draft | null {
    try {
      const ticket = ++this.#ticket
      const places = () => this.#packs.places(ticket + 1)
      const draft = this.#run(caller.plan, this.#sums, { ticket: BigInt(ticket), now: caller.now, places })
      this.#expect(draft)
      return draft
    } catch (error) {
      // Told with the others: it may have read what the group never comes to write.
      this.tell.push(() => caller.reject(error))
      return null
    }
  }

  /** Rows that several plans write are expected once a group. */
  #expect({ writes, added, events, appended, discarded }: Draft): void {
    const packed = this.#packs.sizeOf(appended, discarded)
    let { bytes } = packed
    for (const { value } of writes) bytes += value?.length ?? 0
    for (const event of events) bytes += Buffer.byteLength(event)
    const sums = added.filter((one) => this.#sums.isNew(one)).length
    this.#sink.expect?.(writes.length + sums + packed.rows + this.#events.rowsFor(events), bytes)
  }

  /** @returns The events, each with its place in the log. */
  #apply(draft: Draft): Logged<DurableEvent>[] {
    for (const { tree, key, value } of draft.writes) {
      this.#sums.settle(tree, key)
      if (value === null) this.#sink.remove(tree, key)
      else this.#sink.put(tree, key, value)
    }
    for (const added of draft.added) this.#sums.add(added)
    this.#packs.apply(draft.appended, draft.discarded)
    // Packs are numbered as commits are: each number is given once.
    this.#ticket = Math.max(this.#ticket, draft.nextPack - 1)
    this.#seq = this.#ticket
    return draft.events.map((json, i) => {
      if (i > 0) this.#seq = ++this.#ticket
      this.#events.add(this.#seq, json)
      return { ...(draft.recorded[i] as DurableEvent), position: String(this.#seq), seq: this.#seq }
    })
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

/** What plans of a group read: the rows, what is added to rows of numbers (each is written once, not once a plan), and what was appended. */
class Sums implements Reader {
  readonly #sink: Sink
  readonly #packs: GroupPacks
  readonly #byTree = new Map<Tree, Map<string, Added>>()

  constructor(sink: Sink, packs: GroupPacks) {
    this.#sink = sink
    this.#packs = packs
  }

  get: Reader['get'] = (tree, key, decode) => {
    this.settle(tree, key)
    return this.#sink.get(tree, key, decode)
  }

  range: Reader['range'] = (tree, range) => {
    if (this.#byTree.has(tree)) this.write()
    return this.#sink.range(tree, range)
  }

  piece: Reader['piece'] = (piece, decode) => {
    if (!this.#packs.has(piece.pack)) return this.#sink.piece(piece, decode)
    const bytes = this.#packs.find(piece)
    return bytes && decode(Buffer.from(bytes))
  }

  add(added: Added): void {
    const { tree, key, deltas } = added
    const sums = this.#byTree.get(tree) ?? new Map<string, Added>()
    this.#byTree.set(tree, sums)
    const name = nameOf(key)
    const former = sums.get(name)
    sums.set(name, former ? { tree, key, deltas: addNumbers(former.deltas, deltas) } : added)
  }

  /** Whether no plan of the group added to the row yet. */
  isNew({ tree, key }: Added): boolean {
    return !this.#byTree.get(tree)?.has(nameOf(key))
  }

  /** Before the row is read or written: what earlier plans added is older than that. */
  settle(tree: Tree, key: Uint8Array): void {
    if (this.#byTree.get(tree)?.has(nameOf(key))) this.write()
  }

  write(): void {
    for (const sums of this.#byTree.values())
      for (const { tree, key, deltas } of sums.values())
        this.#sink.put(tree, key, encodeNumbers(addNumbers(this.#sink.get(tree, key, decodeNumbers) ?? [], deltas)))
    this.#byTree.clear()
  }
}
