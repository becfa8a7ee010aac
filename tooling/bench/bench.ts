import type { Lab } from './lab.ts'
import type { Side } from './side.ts'

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
