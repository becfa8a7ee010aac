import type { TreeLedger } from '../ledger.ts'
import type { Peer } from './peer.ts'

/** How the kit reaches a ledger. What may be left out is needed by some cases, which are skipped without it. */
export interface LedgerHarness {
  /** Opens an empty one. */
  open(): Promise<TreeLedger>
  /** Whether it runs plans several times to find out those that are not pure. @default false */
  readonly rehearses?: boolean
  /** Opens a second handle on the store of `ledger`: in this process, or in another one. @see peerOf */
  openPeer?(ledger: TreeLedger): Promise<Peer>
  /** Lets every commit of `ledger` fail from now on, with nothing of it there. @returns Ends that. */
  failCommits?(ledger: TreeLedger): Promise<() => Promise<void>>
  /** Closes `ledger` and opens what it left. */
  reopen?(ledger: TreeLedger): Promise<TreeLedger>
}

/** One promise of a ledger, and how it is put to the test. */
export interface LedgerCase {
  /** Stable, so that reports can refer to it. */
  readonly id: string
  /** Call, circumstance, outcome. */
  readonly title: string
  /** What goes wrong in practice where this does not hold. */
  readonly why: string
  /** What the harness must have for it. */
  readonly needs?: Exclude<keyof LedgerHarness, 'open'>
  run(ledger: TreeLedger, harness: Required<LedgerHarness>): Promise<void>
}

/** Runs a case on a ledger of its own. @returns Why it was skipped, else `null`. @throws What it found. */
export async function runCase(one: LedgerCase, harness: LedgerHarness): Promise<string | null> {
  if (one.needs && !harness[one.needs]) return `the harness has no ${one.needs}`
  const ledger = await harness.open()
  try {
    await one.run(ledger, harness as Required<LedgerHarness>)
  } finally {
    await ledger.close()
  }
  return null
}
