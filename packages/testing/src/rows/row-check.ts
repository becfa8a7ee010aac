import { eventRules } from './event-rules.ts'
import { indexRules } from './index-rules.ts'
import { queueRules } from './queue-rules.ts'
import { type Dump, StoreRows } from './rows.ts'
import { type StagedFiles, stagingRules } from './staging-rules.ts'

export interface Checked {
  readonly rows: StoreRows
  /** What is wrong, with the rule and its reason. */
  readonly violations: readonly string[]
}

/**
 * Compares every row of a store with every other. Holds at any moment, also between the steps of calls and jobs:
 * changes that belong together are written in one commit.
 *
 * @param files The contents of the staging directory. Absent: it is not compared.
 */
export function checkRows(dump: Dump, files?: StagedFiles): Checked {
  const rows = new StoreRows(dump)
  const rules = [...indexRules, ...queueRules, ...stagingRules(files), ...eventRules]
  const broken = rules.flatMap((rule) => [...rule.check(rows)].map((what) => `${rule.name}: ${what} (${rule.why})`))
  return { rows, violations: [...rows.faults, ...broken].map((text) => text.replaceAll('\0', ' ')) }
}
