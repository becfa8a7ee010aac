import { StorageError } from '../backend/error.ts'
import type { Known, Location, LocationFacts, NewJob } from '../ports.ts'
import { type Begun, deleteJob, deleting, isObjectOf, owes } from './plan-put.ts'

export interface DeletePlanInput {
  readonly known: Known
  /** Keys to unbind; with `backends` none. */
  readonly keys: readonly string[]
  readonly hasOtherKeys: boolean
  readonly begun: Begun
  /** A copy on a backend that is not configured is none to rely on. */
  readonly isConfigured: (backend: string) => boolean
  /** Drop copies there only. */
  readonly backends: readonly string[] | undefined
  /** The key the caller named, if any: only its objects are meant. */
  readonly key: string | undefined
}

export interface DeletePlan {
  readonly locations: readonly LocationFacts[]
  readonly jobs: readonly NewJob[]
  /** No key is left. */
  readonly forget: boolean
  /** Nothing owes the bytes any more. */
  readonly release: boolean
}

/** @throws {StorageError} PRECONDITION_FAILED when only copies are dropped and none would remain. */
export function planDelete(input: DeletePlanInput): DeletePlan {
  const { known, hasOtherKeys, backends } = input
  const live = known.locations.filter(({ state }) => state !== 'deleting')
  const forget = backends === undefined && !hasOtherKeys
  const keys = new Set(input.keys)
  const dropped = live.filter((location) => forget || isMeant(location, keys, input))
  const left = live.filter((location) => !dropped.includes(location))
  const remains = ({ state, backend }: Location) => state === 'synced' && input.isConfigured(backend)
  if (backends && dropped.length > 0 && !left.some((location) => remains(location) || owes(location))) {
    const at = { op: 'delete', key: input.key ?? known.facts.id }
    throw new StorageError('PRECONDITION_FAILED', at, { detail: 'no synced or staged copy would remain' })
  }
  return {
    locations: dropped.map((location) => deleting(location, input.begun(location))),
    jobs: dropped.map(deleteJob),
    forget,
    release: forget || !left.some(owes),
  }
}

function isMeant(location: Location, keys: ReadonlySet<string>, { backends, key }: DeletePlanInput): boolean {
  if (!backends) return keys.has(location.key) && isObjectOf(location, location.key)
  return backends.includes(location.backend) && (key === undefined || location.shared === true || location.key === key)
}
