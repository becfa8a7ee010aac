import type { TreeLedger } from '../ledger.ts'
import { all, claim, increment, put, record, recorded, takeFirst } from './rows.ts'

/** Plans that a peer is asked for by name: a function cannot be sent to another process. */
const PLANS = { put, increment, takeFirst, claim, record } as const

/** A plan of `PLANS`, and what it is given behind its transaction. */
export type Step = readonly [plan: keyof typeof PLANS, ...texts: string[]]

/** What a commit came to, as JSON. */
export interface Done {
  readonly value: unknown
  readonly position: string
  readonly ticket: string
}

/** A second handle on the store of a ledger. */
export interface Peer {
  /** Hands all steps in at once, each a plan of its own. */
  run(steps: readonly Step[]): Promise<Done[]>
  /** What it reads by a look. */
  rows(): Promise<string[]>
  /** What it reads of the log. */
  events(): Promise<{ key: string; position: string }[]>
  close(): Promise<void>
}

/** `ledger` as a peer: for a ledger that one process can open twice, and for what another process runs. */
export function peerOf(ledger: TreeLedger): Peer {
  const run = async ([plan, ...texts]: Step): Promise<Done> => {
    const { value, position } = await ledger.transact((tx) => {
      const step = PLANS[plan] as (transaction: typeof tx, ...rest: string[]) => unknown
      return { value: step(tx, ...texts), ticket: String(tx.ticket) }
    })
    return { ...value, position }
  }
  return {
    run: (steps) => Promise.all(steps.map(run)),
    rows: () => all(ledger),
    events: () => recorded(ledger),
    close: () => ledger.close(),
  }
}
