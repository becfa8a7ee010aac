import type { Lab } from './lab.ts'

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

export interface Comparison {
  readonly bench: string
  readonly ours: number
  readonly rival: number
  readonly rivalName: string
  readonly unit: string
  /** Above 1, StoreD is better. */
  readonly ratio: number
  /** What the project wants to reach; absent where the figure is for information. */
  readonly reach?: Reach
}

export type Reach =
  /** `stretch` is what would be better still. */
  | { readonly ratio: number; readonly stretch?: number }
  /** Of StoreD's own figure. */
  | { readonly atMost: number }
  /** Than the rival's. */
  | { readonly atMostMore: number }

export interface Bench {
  readonly name: string
  /** What is done, with which data, how many at a time, how durably: the footnote of the table. */
  readonly about: string
  /** What runs in child processes, by name. */
  readonly sides: Readonly<Record<string, Side>>
  /** Runs in the parent. */
  run(lab: Lab): Promise<Comparison[]>
}
