import type { RecordLocation } from '@stored/core'

/** How the copies of a key on a backend stand: the best of them, since after a change of layout there may be two. */
export function stateOn(backend: string, locations: readonly RecordLocation[]): RecordLocation['state'] | null {
  const there = locations.filter((location) => location.backend === backend)
  return (there.find(({ synced }) => synced) ?? there[0])?.state ?? null
}
