import type { Committed, Transaction } from '@stored/core'
import type { TreeLedger } from '@stored/ledger'

interface Held {
  readonly plan: (tx: Transaction) => unknown
  resolve(committed: Committed<unknown>): void
  reject(error: unknown): void
}

/** How plans that were held back are made: each in a commit of its own, or all of them as one plan. */
export type Making = 'each' | 'together'

/** A ledger that holds plans back, in the order in which they are handed in. */
export class HeldPlans {
  readonly ledger: TreeLedger
  readonly #ledger: TreeLedger
  #held: Held[] | null = null
  #ends: Promise<unknown>[] = []
  #handedIn = () => {}

  constructor(ledger: TreeLedger) {
    this.#ledger = ledger
    this.ledger = new Proxy(ledger, {
      get: (_, name) => {
        if (name === 'transact') return this.#transact
        const value: unknown = Reflect.get(ledger, name)
        return typeof value === 'function' ? value.bind(ledger) : value
      },
    })
  }

  /** From now on, until `make`. */
  hold(): void {
    this.#held = []
    this.#ends = []
  }

  /** Begins something, up to its plan, unless it is refused before. */
  async begin(action: () => Promise<unknown>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#handedIn = resolve
    const end = action()
    end.catch(resolve)
    this.#ends.push(end)
    await promise
  }

  /** Makes the plans that are held. @returns How what was begun ended. */
  async make(how: Making): Promise<PromiseSettledResult<unknown>[]> {
    const held = this.#held ?? []
    this.#held = null
    if (how === 'each') for (const one of held) await this.#make([one])
    else await this.#make(held)
    return Promise.allSettled(this.#ends)
  }

  async #make(held: readonly Held[]): Promise<void> {
    try {
      const committed = await this.#ledger.transact((tx) => held.map(({ plan }) => plan(tx)))
      for (const [i, { resolve }] of held.entries()) resolve({ ...committed, value: committed.value[i] })
    } catch (error) {
      for (const { reject } of held) reject(error)
    }
  }

  readonly #transact = <T>(plan: (tx: Transaction) => T): Promise<Committed<T>> => {
    const held = this.#held
    if (!held) return this.#ledger.transact(plan)
    const { promise, resolve, reject } = Promise.withResolvers<Committed<T>>()
    held.push({ plan, resolve: (committed) => resolve(committed as Committed<T>), reject })
    this.#handedIn()
    return promise
  }
}
