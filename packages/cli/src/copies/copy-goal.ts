import { isDoubtful, type ListEntry } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import { stateOn } from './copy-state.ts'

/** Backends in order of preference, and how many of them should have a copy. */
export interface CopyGoal {
  readonly choice: readonly string[]
  readonly want: number
}

/** What a key lacks. */
export interface CopyCount {
  readonly have: number
  /** Pending on a backend that counts. */
  readonly coming: number
  /** Backends that can take a copy now. */
  readonly fix: readonly string[]
}

/** Requires copies on the default backends, or on `want` of all backends. @throws {StorageError} INVALID_ARGUMENT. */
export function copyGoal(want: number | undefined, defaults: readonly string[], all: readonly string[]): CopyGoal {
  if (want === undefined) return { choice: defaults, want: defaults.length }
  if (want <= all.length) return { choice: [...new Set([...defaults, ...all])], want }
  const detail = `${want} copies are more than the ${all.length} backends`
  throw new StorageError('INVALID_ARGUMENT', { op: 'copies' }, { detail })
}

export function countCopies({ locations }: Pick<ListEntry, 'locations'>, { choice, want }: CopyGoal): CopyCount {
  const states = choice.map((name) => [name, stateOn(name, locations)] as const)
  const have = states.filter(([, state]) => state === 'synced').length
  const coming = states.filter(([, state]) => state === 'pending').length
  // Not free: something that is not ours is there, or a copy is on its way.
  const free = states.filter(([, state]) => state === null || isDoubtful({ state })).map(([name]) => name)
  return { have, coming, fix: free.slice(0, Math.max(0, want - have - coming)) }
}
