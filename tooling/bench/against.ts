import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import type { Comparison } from './bench.ts'

/** One figure of StoreD's, in two trees. */
export interface Change {
  readonly bench: string
  readonly unit: string
  readonly now: number
  readonly before: number
  /** `now / before`, whichever is better. */
  readonly change: number
  /** Each tree beside the rival that its own packages run, as in the table without `--against`: above 1 StoreD is better. */
  readonly beside: { readonly name: string; readonly now: number; readonly before: number } | null
}

/** Installs what the other tree needs, as its own `run.mjs` does before any task. */
export function install(root: string): void {
  const run = join(root, 'tooling', 'run.mjs')
  const { status, error, stderr } = spawnSync('node', [run, 'bench', '--help'], { encoding: 'utf8' })
  if (error || status !== 0) throw error ?? new Error(`${run} could not install that tree:\n${stderr}`)
}

/** One line for each figure that a rival is compared with; equal ones are told once. */
export function changes(now: readonly Comparison[], before: readonly Comparison[]): Change[] {
  return now.flatMap((mine, i) => {
    const theirs = before[i]
    if (theirs?.bench !== mine.bench || theirs.unit !== mine.unit)
      throw new Error(`the other tree has no ${mine.bench}`)
    const isKnown = !Number.isNaN(mine.ratio) && !Number.isNaN(theirs.ratio)
    const isTold = now.slice(0, i).some(({ bench, unit }) => bench === mine.bench && unit === mine.unit)
    if (isTold && !isKnown) return []
    return {
      bench: mine.bench,
      unit: mine.unit,
      now: mine.ours,
      before: theirs.ours,
      change: mine.ours / theirs.ours,
      beside: isKnown ? { name: mine.rivalName, now: mine.ratio, before: theirs.ratio } : null,
    }
  })
}
