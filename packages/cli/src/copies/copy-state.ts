import type { RecordLocation } from '@stored/core'

/** The state of a key's copy on a backend. After a change of layout there may be two; the better one counts. */
export function stateOn(backend: string, locations: readonly RecordLocation[]): RecordLocation['state'] | null {
  const there = locations.filter((location) => location.backend === backend)
  return (there.find(({ synced }) => synced) ?? there[0])?.state ?? null
}
