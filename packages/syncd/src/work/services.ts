import {
  type Index,
  isCurrent,
  isReliable,
  type Ledger,
  type Queue,
  type Staging,
  type SyncTarget,
  type View,
} from '@stored/core'

export interface Services {
  readonly ledger: Ledger
  readonly index: Index
  readonly queue: Queue
  readonly staging: Staging
  readonly backends: Targets
}

/** The backends that jobs run for in this process, by name. */
export class Targets extends Map<string, SyncTarget> {
  readonly #index: Index

  constructor(index: Index) {
    super()
    this.#index = index
  }

  /** Whether the backend that this process has open under a name is the store's current one. */
  isCurrent(view: View, name: string): boolean {
    return isCurrent({ index: this.#index }, view, name, this.get(name)?.generation)
  }

  /** Whether a copy there may be relied on. */
  isReliable(view: View, name: string): boolean {
    return isReliable({ index: this.#index }, view, name, this.get(name)?.generation)
  }
}
