import { check, type Operation } from '@stored/testing/linearizability'

type Effect = Pick<Operation, 'found' | 'becomes'>

/** What the calls of a storm said of each key. */
export class History {
  readonly #operations = new Map<string, Operation[]>()
  #now = 0
  /** Keys of which too much happened at once to be told. */
  undecided = 0

  /** @returns To be called once the call answered, for each key it says something of. */
  begin(what: string): (key: string, effect: Effect) => void {
    const call = this.#now++
    let end: number | undefined
    return (key, effect) => {
      end ??= this.#now++
      const known = this.#operations.get(key) ?? []
      this.#operations.set(key, [...known, { call, return: end, what, ...effect }])
    }
  }

  /** @returns The keys of which no order of the calls explains what they answered. */
  check(): string[] {
    return [...this.#operations].flatMap(([key, operations]) => {
      const verdict = check(operations)
      if (verdict === 'undecided') this.undecided++
      return verdict === 'not linearizable' ? [`answers for ${key}: ${describe(operations)}`] : []
    })
  }
}

function describe(operations: readonly Operation[]): string {
  return operations
    .toSorted((a, b) => a.call - b.call)
    .map(
      ({ call, return: end, what, found, becomes }) =>
        `\n    ${call}–${end} ${what} found ${JSON.stringify(found)} becomes ${becomes}`,
    )
    .join('')
}
