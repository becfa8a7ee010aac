import { inspect, isDeepStrictEqual } from 'node:util'
import type { Transaction, View } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import { Draft, type Own, requireResult } from './draft.ts'
import { nameOf } from './key-name.ts'
import type { Piece, Range, Reader, Tree } from './ledger.ts'

/**
 * Runs plans and looks as a ledger does that guesses rows: each first over rows of which some are missing, its outcome discarded; then
 * twice over the true ones. What is not a function of what it reads is told apart, and rejected.
 */
export class Rehearsal {
  readonly #onGuessError: (error: TypeError) => void
  #chance: number

  /** @param onGuessError Hears of a TypeError over guessed rows, which may be a row that was read without asking whether it is there. */
  constructor(onGuessError: (error: TypeError) => void = () => {}, seed = 1) {
    this.#onGuessError = onGuessError
    this.#chance = seed
  }

  /** @returns The last run. @throws What the plan throws. @throws {StorageError} INTERNAL: the plan is impure. */
  plan(plan: (tx: Transaction) => unknown, base: Reader, own: Own): Draft {
    this.#guess(() => new Draft(this.#absent(base), own).run(plan))
    const [first, second] = [this.#traced(plan, base, own), this.#traced(plan, base, own)]
    requireSame(first, second)
    if ('error' in second.outcome) throw second.outcome.error
    return second.outcome.draft
  }

  look<T>(read: (view: View) => T, base: Reader): T {
    const viewOf = (reader: Reader) => reader as unknown as View
    this.#guess(() => requireResult(read(viewOf(this.#absent(base)))))
    const run = (): Run<{ value: T }> => {
      const traced = new TracedReader(base)
      const outcome = outcomeOf(() => ({ value: requireResult(read(viewOf(traced))) }))
      return { outcome, value: 'value' in outcome ? outcome.value : undefined, trace: traced.trace }
    }
    const [first, second] = [run(), run()]
    requireSame(first, second)
    if ('error' in second.outcome) throw second.outcome.error
    return second.outcome.value
  }

  #traced(plan: (tx: Transaction) => unknown, base: Reader, own: Own): Run<{ draft: Draft }> {
    const traced = new TracedReader(base)
    const draft = new Draft(traced, own)
    const outcome = outcomeOf(() => ({ draft: draft.run(plan) }))
    const writes = draft.writes.map(({ tree, key, value }) => `put ${tree} ${nameOf(key)} ${value && nameOf(value)}`)
    const added = draft.added.map(({ tree, key, deltas }) => `add ${tree} ${nameOf(key)} ${deltas}`)
    const named = ({ pack, offset, length }: Piece) => `${pack} ${offset} ${length}`
    const appended = draft.appended.map(({ piece, bytes }) => `append ${named(piece)} ${nameOf(bytes)}`)
    const discarded = draft.discarded.map((piece) => `discard ${named(piece)}`)
    const trace = [...traced.trace, ...writes, ...added, ...appended, ...discarded, ...draft.events]
    return { outcome, value: draft.value, trace }
  }

  #guess(run: () => unknown): void {
    const outcome = outcomeOf(() => ({ value: run() }))
    if ('error' in outcome && outcome.error instanceof TypeError) this.#onGuessError(outcome.error)
  }

  #absent(base: Reader): Reader {
    // A generator of its own (Park and Miller's): a test that fails fails again.
    const isAbsent = () => {
      this.#chance = (this.#chance * 48_271) % 0x7fffffff
      return this.#chance % 10 < 3
    }
    return {
      get: (tree, key, decode) => (isAbsent() ? undefined : base.get(tree, key, decode)),
      range: (tree, range) => base.range(tree, range).filter(() => !isAbsent()),
      piece: (piece, decode) => (isAbsent() ? undefined : base.piece(piece, decode)),
    }
  }
}

interface Run<T> {
  readonly outcome: T | { readonly error: unknown }
  readonly value: unknown
  readonly trace: readonly string[]
}

class TracedReader implements Reader {
  readonly #base: Reader
  readonly trace: string[] = []

  constructor(base: Reader) {
    this.#base = base
  }

  get<T>(tree: Tree, key: Uint8Array, decode: (value: Buffer) => T): T | undefined {
    this.trace.push(`get ${tree} ${nameOf(key)}`)
    return this.#base.get(tree, key, decode)
  }

  range(tree: Tree, range: Range): [Buffer, Buffer][] {
    this.trace.push(`range ${tree} ${nameOf(range.from)} ${nameOf(range.to)} ${range.limit}`)
    return this.#base.range(tree, range)
  }

  piece<T>(piece: Piece, decode: (bytes: Buffer) => T): T | undefined {
    this.trace.push(`piece ${piece.pack} ${piece.offset} ${piece.length}`)
    return this.#base.piece(piece, decode)
  }
}

function requireSame(first: Run<object>, second: Run<object>): void {
  const isSame =
    isDeepStrictEqual(first.trace, second.trace) &&
    isSameError(first.outcome, second.outcome) &&
    (isDeepStrictEqual(first.value, second.value) || shown(first.value) === shown(second.value))
  if (!isSame) throw impure('two runs over the same rows differ')
}

function isSameError(first: object, second: object): boolean {
  if (!('error' in first && 'error' in second)) return 'error' in first === 'error' in second
  return String(first.error) === String(second.error)
}

/** Functions, which are made anew by each run, are alike by name. */
function shown(value: unknown): string {
  const all = { depth: Number.POSITIVE_INFINITY, maxArrayLength: null, maxStringLength: null }
  return inspect(value, { ...all, customInspect: false })
}

/** @throws {StorageError} INTERNAL: it used clock or randomness, whether or not it let that be seen. */
function outcomeOf<T extends object>(run: () => T): T | { readonly error: unknown } {
  const { restore, used } = forbidChance()
  let outcome: T | { readonly error: unknown }
  try {
    outcome = run()
  } catch (error) {
    outcome = { error }
  } finally {
    restore()
  }
  const [what] = used
  if (what !== undefined) throw impure(what)
  return outcome
}

/** Lets clock and randomness throw: that two runs agree says nothing of a clock read twice within a millisecond. */
function forbidChance(): { restore(): void; used: readonly string[] } {
  const { Date: RealDate } = globalThis
  const { random } = Math
  const used: string[] = []
  const refuse = (what: string) => (): never => {
    used.push(what)
    throw impure(what)
  }
  const clock = refuse('it reads the clock')
  globalThis.Date = new Proxy(RealDate, {
    get: (target, name) => (name === 'now' ? clock : Reflect.get(target, name)),
    construct: (target, args, newTarget) => (args.length === 0 ? clock() : Reflect.construct(target, args, newTarget)),
    apply: clock,
  })
  Math.random = refuse('it is random')
  const restore = () => {
    globalThis.Date = RealDate
    Math.random = random
  }
  return { restore, used }
}

function impure(why: string): StorageError {
  return new StorageError(
    'INTERNAL',
    { op: 'commit' },
    { detail: `a plan must be a pure function of what it reads: ${why}` },
  )
}
