/** What a register holds; `null`: nothing. */
export type Value = string | null

/** One operation on one register, as its process saw it. */
export interface Operation {
  /** When it was called and when it returned, by one clock for all processes. `null`: it never returned, and may or may not have happened. */
  readonly call: number
  readonly return: number | null
  /** What the register held, or did not hold, according to the answer. Absent: the answer does not tell. */
  readonly found?: { readonly value: Value } | { readonly not: Value }
  /** What the register holds afterwards. Absent: unchanged. */
  readonly becomes?: Value
  /** For people. */
  readonly what: string
}

export type Verdict = 'linearizable' | 'not linearizable' | 'undecided'

/** Combinations of operations and values tried before the search is abandoned. */
const MAX_TRIED = 200_000

/**
 * Whether the operations have an order in which each takes effect at one moment between its call and its return, and
 * finds what the one before it left. The register starts empty.
 *
 * @see J. M. Wing, C. Gong: Testing and verifying concurrent objects (1993); remembering what was tried is from G.
 *   Lowe: Testing for linearizability (2017).
 */
export function check(operations: readonly Operation[]): Verdict {
  const search = new Search(operations)
  if (search.succeeds(0n, null)) return 'linearizable'
  return search.tried < MAX_TRIED ? 'not linearizable' : 'undecided'
}

class Search {
  /** In order of return, with those that never returned last: the most urgent are tried first. */
  readonly #operations: readonly Operation[]
  readonly #returned: bigint
  readonly #failed = new Set<string>()
  /** For each value: the operations that returned and found it, and those after which the register holds it. */
  readonly #finders = new Map<Value, bigint>()
  readonly #bringers = new Map<Value, bigint>()

  constructor(operations: readonly Operation[]) {
    this.#operations = operations.toSorted((a, b) => endOf(a) - endOf(b))
    this.#returned = (1n << BigInt(operations.filter((one) => one.return !== null).length)) - 1n
    for (const [i, { found, becomes, return: end }] of this.#operations.entries()) {
      if (end !== null && found && 'value' in found) note(this.#finders, found.value, i)
      if (becomes !== undefined) note(this.#bringers, becomes, i)
    }
  }

  get tried(): number {
    return this.#failed.size
  }

  /** @param done The operations that have taken effect, one bit for each. */
  succeeds(done: bigint, value: Value): boolean {
    if ((done & this.#returned) === this.#returned) return true
    const name = `${done.toString(36)} ${value}`
    if (this.#failed.has(name) || this.tried >= MAX_TRIED) return false
    if (this.#leadsOn([...this.#next(done)], done, value)) return true
    this.#failed.add(name)
    return false
  }

  #leadsOn(next: readonly (readonly [bit: bigint, operation: Operation])[], done: bigint, value: Value): boolean {
    const fitting = next.filter(([, operation]) => fits(operation, value))
    // An operation that can change nothing can always come first: any valid order stays valid with it moved to the
    // front.
    const idle = fitting.find(([, operation]) => isIdle(operation))
    if (idle) return this.succeeds(done | idle[0], value)
    return fitting.some(
      ([bit, { becomes = null }]) =>
        (becomes === value || !this.#misses(done | bit, value)) && this.succeeds(done | bit, becomes),
    )
  }

  /**
   * Whether a remaining operation must find `value`, which the register no longer holds, and no remaining one restores
   * it.
   */
  #misses(done: bigint, value: Value): boolean {
    const finders = (this.#finders.get(value) ?? 0n) & ~done
    return finders !== 0n && ((this.#bringers.get(value) ?? 0n) & ~done) === 0n
  }

  /** Those that may come next: called before any remaining one returned. */
  *#next(done: bigint): Generator<[bit: bigint, operation: Operation]> {
    let earliest = Number.POSITIVE_INFINITY
    for (const [i, operation] of this.#operations.entries()) {
      const bit = 1n << BigInt(i)
      if (done & bit) continue
      // The first remaining one returned first.
      earliest = Math.min(earliest, endOf(operation))
      if (operation.call <= earliest) yield [bit, operation]
    }
  }
}

function note(sets: Map<Value, bigint>, value: Value, i: number): void {
  sets.set(value, (sets.get(value) ?? 0n) | (1n << BigInt(i)))
}

function endOf(operation: Operation): number {
  return operation.return ?? Number.POSITIVE_INFINITY
}

/** Whether it leaves what it finds, whenever it takes effect. */
function isIdle({ found, becomes }: Operation): boolean {
  return becomes === undefined || (found !== undefined && 'value' in found && found.value === becomes)
}

function fits({ found }: Operation, value: Value): boolean {
  if (found === undefined) return true
  return 'value' in found ? found.value === value : found.not !== value
}
