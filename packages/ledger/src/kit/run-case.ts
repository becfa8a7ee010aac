import type { TreeLedger } from '../ledger.ts'

/** How the kit reaches a ledger. */
export interface LedgerHarness {
  /** Opens an empty one. */
  open(): Promise<TreeLedger>
  /** Whether it runs plans several times to find out those that are not pure. @default false */
  readonly rehearses?: boolean
}

/** One promise of a ledger, and how it is put to the test. */
export interface LedgerCase {
  /** Stable, so that reports can refer to it. */
  readonly id: string
  /** Call, circumstance, outcome. */
  readonly title: string
  /** What goes wrong in practice where this does not hold. */
  readonly why: string
  /** Only for ledgers that run plans several times to find out impure ones. */
  readonly rehearsed?: true
  run(ledger: TreeLedger): Promise<void>
}

/** Runs a case on a ledger of its own. @returns `false`: it is not for this ledger. @throws What it found. */
export async function runCase(one: LedgerCase, harness: LedgerHarness): Promise<boolean> {
  if (one.rehearsed && !harness.rehearses) return false
  const ledger = await harness.open()
  try {
    await one.run(ledger)
  } finally {
    await ledger.close()
  }
  return true
}
