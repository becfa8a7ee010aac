import type { BackendInfo, BadState } from '@stored/core'
import { count } from '../output/format.ts'

/** The store stops counting here: this number means at least this many. */
const MOST = 1000

interface Meaning {
  readonly state: BadState
  /** The backend lost the bytes or holds wrong ones. This is more serious than a copy that was never made. */
  readonly isDamage: boolean
  readonly what: string
  readonly remedy: (backend: string) => string
}

const mends = () => 'stored repair reads them again and replaces bad ones'
const MEANINGS: readonly Meaning[] = [
  { state: 'corrupt', isDamage: true, what: 'damaged', remedy: mends },
  { state: 'missing', isDamage: true, what: 'missing', remedy: mends },
  {
    state: 'unknown',
    isDamage: true,
    what: 'changed by someone else, or not checked yet',
    remedy: mends,
  },
  {
    state: 'failed',
    isDamage: false,
    what: 'given up',
    remedy: (name) => `stored queue ls ${name} --state parked says why, stored queue retry ${name} tries again`,
  },
  {
    state: 'conflict',
    isDamage: false,
    what: 'in conflict with something that someone else wrote there',
    remedy: (name) =>
      `stored queue ls ${name} --state parked names them; move the other objects away, then stored queue retry ${name}`,
  },
]

/** Copies on one backend that share one kind of fault, and the command that repairs them. */
export interface BadCopies {
  readonly backend: string
  readonly state: BadState
  readonly copies: number
  readonly isDamage: boolean
  /** For people. */
  readonly message: string
}

/** Known faults, in the order of the backends, the worst first. */
export function badCopies(backends: readonly Pick<BackendInfo, 'name' | 'bad'>[]): BadCopies[] {
  return backends.flatMap(({ name, bad }) =>
    MEANINGS.flatMap(({ state, isDamage, what, remedy }) => {
      const copies = bad[state] ?? 0
      if (copies === 0) return []
      const many = copies < MOST ? count(copies, 'copy', 'copies') : `at least ${count(MOST, 'copy', 'copies')}`
      return [{ backend: name, state, copies, isDamage, message: `${many} ${what}; ${remedy(name)}` }]
    }),
  )
}

/** Parked removals. Copies whose job was parked are reported as `failed` or `conflict`. */
export function parkedRemovals({ jobs, bad }: Pick<BackendInfo, 'jobs' | 'bad'>): number {
  const { failed = 0, conflict = 0 } = bad
  return failed < MOST && conflict < MOST ? Math.max(0, jobs.parked - failed - conflict) : 0
}
