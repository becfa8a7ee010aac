/** Numbers and names that the parent passes to a side. */
export type Params = Readonly<Record<string, number | string>>

/** What a side measured itself, by name. */
export type Figures = Readonly<Record<string, number>>

/** One contestant, in a process of its own. What it does before `start` and after `stop` is not measured. */
export type Side = (subject: Subject) => Promise<void>

export interface Subject {
  /** Empty, or what an earlier process was asked to prepare there. */
  readonly directory: string
  readonly params: Params
  /** Ends the preparation. From here on time, memory and flushes count. */
  readonly start: () => Promise<void>
  /** Ends the measurement. A side that is to be killed does not return from it. @param figures What it measured itself, by name. */
  readonly stop: (count: number, figures?: Figures) => Promise<void>
}

/** What a child tells the lab. */
export type Report =
  | { readonly type: 'ready' }
  | {
      readonly type: 'done'
      readonly count: number
      readonly seconds: number
      /** Seconds of all threads. */
      readonly processor: number
      readonly figures: Figures
    }
/** What the lab answers. */
export type Command = 'go' | 'end'
