import type { BackendInfo, StoreD } from '@stored/core'
import { badCopies } from '../copies/bad-copies.ts'
import { copyGoal, countCopies } from '../copies/copy-goal.ts'
import { EXIT } from '../errors/exit-codes.ts'
import { count } from '../output/format.ts'
import type { Check } from './check.ts'

/** Checking more would take too long in a large store; `stored copies` checks everything. */
const LOOK_KEYS = 10_000
const LOOK_MS = 2000

/** Known faults on each backend. */
export function badChecks(backends: readonly BackendInfo[]): Check[] {
  const bad = badCopies(backends)
  if (bad.length === 0)
    return [{ check: 'copies', result: 'ok', message: 'none is known to be damaged, missing or given up' }]
  return bad.map(({ backend, isDamage, message }) => ({
    check: `copies on ${backend}`,
    result: isDamage ? 'failed' : 'warning',
    message,
    exit: isDamage ? EXIT.integrity : EXIT.tooFew,
  }))
}

/** Checks whether the first keys of the store have a copy, or a pending one, on every default backend. */
export async function tooFewCheck(
  store: StoreD,
  defaults: readonly string[] | undefined,
  signal: AbortSignal,
): Promise<Check> {
  const all = (await store.listBackends()).map(({ name }) => name)
  const goal = copyGoal(undefined, defaults ?? all, all)
  const end = performance.now() + LOOK_MS
  let looked = 0
  let short = 0
  for await (const entry of store.list({ missing: true, limit: LOOK_KEYS, signal })) {
    looked++
    const { have, coming } = countCopies(entry, goal)
    if (have + coming < goal.want) short++
    if (performance.now() > end) break
  }
  const among = `of ${count(looked, 'key')} checked`
  if (short === 0) return { check: 'too few copies', result: 'ok', message: `none ${among}` }
  const message = `${short.toLocaleString('en')} ${among}; stored copies lists them, stored copies --fix makes the missing ones`
  return { check: 'too few copies', result: 'warning', message, exit: EXIT.tooFew }
}
