import { sameMark } from '../../backend/one-medium.ts'
import type { MediumMemory } from '../../guard/session.ts'
import type { Index } from '../../ports/index.ts'
import type { Ledger } from '../../ports/ledger.ts'

/**
 * Remembers what lay at each backend, by its mark, and refuses the mark of another backend: two names may reach one medium by
 * ways that no address tells, such as two names of a host or a bind mount.
 *
 * The backend that was there first keeps it. Of two that are remembered both, by two processes at the same moment or from before this
 * was checked, it is the one that comes first in the configuration.
 */
export class MediumMemories {
  readonly #ledger: Ledger
  readonly #index: Index
  /** The configured names, in order. */
  readonly #names: () => readonly string[]
  #turn: Promise<void> = Promise.resolve()

  constructor({ ledger, index }: { ledger: Ledger; index: Index }, names: () => readonly string[]) {
    this.#ledger = ledger
    this.#index = index
    this.#names = names
  }

  of(name: string): MediumMemory {
    return {
      known: () => this.#index.medium(name),
      remember: (medium) => this.#remember(name, medium),
      check: (medium) => this.#refuse(name, medium, this.#before(name)),
    }
  }

  /** One after the other: of two that are opened at the same moment the second has to see the first. */
  #remember(name: string, medium: string): Promise<void> {
    const turn = this.#turn.then(async () => {
      await this.#refuse(name, medium, this.#names())
      await this.#ledger.transact((tx) => this.#index.setMedium(tx, name, medium))
    })
    this.#turn = turn.catch(() => {})
    return turn
  }

  async #refuse(name: string, medium: string, others: readonly string[]): Promise<void> {
    for (const other of others)
      if (other !== name && (await this.#index.medium(other)) === medium) throw sameMark(name, other)
  }

  #before(name: string): readonly string[] {
    const names = this.#names()
    return names.slice(0, Math.max(0, names.indexOf(name)))
  }
}
