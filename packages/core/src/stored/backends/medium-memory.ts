import { sameMark } from '../../backend/one-medium.ts'
import type { MediumMemory } from '../../guard/session.ts'
import type { Index } from '../../ports/index.ts'
import type { Ledger, View } from '../../ports/ledger.ts'
import type { Generation } from '../../ports/syncer.ts'
import { isCurrent } from './tenancy.ts'

/**
 * Remembers what lay at each backend, by its mark, and refuses the mark of another backend: two names may reach one medium by
 * ways that no address tells, such as two names of a host or a bind mount.
 *
 * The backend that was there first keeps it. Of two that are both remembered, from before this was checked, it is the one that comes
 * first in the configuration.
 */
export class MediumMemories {
  readonly #ledger: Ledger
  readonly #index: Index
  /** The configured names, in order. */
  readonly #names: () => readonly string[]

  constructor({ ledger, index }: { ledger: Ledger; index: Index }, names: () => readonly string[]) {
    this.#ledger = ledger
    this.#index = index
    this.#names = names
  }

  of(name: string, generation: Generation): MediumMemory {
    return {
      known: () => this.#ledger.look((view) => this.#index.medium(view, name)),
      remember: (medium) => this.#remember(name, generation, medium),
      check: (medium) => {
        const names = this.#before(name)
        return this.#ledger.look((view) => this.#refuse(view, name, medium, names))
      },
    }
  }

  async #remember(name: string, generation: Generation, medium: string): Promise<void> {
    const names = this.#names()
    await generation.known
    await this.#ledger.transact((tx) => {
      this.#refuse(tx, name, medium, names)
      // Removed while it was opened: the next of this name may be another medium.
      if (isCurrent({ index: this.#index }, tx, name, generation)) this.#index.setMedium(tx, name, medium)
    })
  }

  #refuse(view: View, name: string, medium: string, others: readonly string[]): void {
    for (const other of others)
      if (other !== name && this.#index.medium(view, other) === medium) throw sameMark(name, other)
  }

  #before(name: string): readonly string[] {
    const names = this.#names()
    return names.slice(0, Math.max(0, names.indexOf(name)))
  }
}
