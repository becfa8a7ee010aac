/** What the index keeps of a backend's name. Without a row: generation 0, and nobody is removing it. */
export interface Tenure {
  /** How often a backend of this name was removed. A copy counts for the generation in which it was confirmed. */
  readonly generation: number
  readonly leaving?: Leaving
}

/** The mark of a removal under way. It holds until `until`; from then on anyone it hinders takes it back. */
export interface Leaving {
  /** Of the removal that set it. */
  readonly token: string
  /** In milliseconds since the epoch. */
  readonly until: number
}
