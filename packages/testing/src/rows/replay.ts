import { keyOf, type PlaceName, placeName, type StoreRows, type SyncValue } from './rows.ts'

/** What follows from the events alone. */
export interface Replayed {
  readonly bound: ReadonlyMap<string, string>
  /** The last statement about each place. */
  readonly told: ReadonlyMap<PlaceName, SyncValue & { readonly type: string }>
  readonly violations: readonly string[]
}

/**
 * What is bound according to the log alone, and what in the log is impossible. Only for a log that was kept in full.
 */
export function replay({ events }: Pick<StoreRows, 'events'>): Replayed {
  const bound = new Map<string, string>()
  /** Keys of a deleted blob with many keys that were not named yet. */
  const leaving = new Map<string, string>()
  const told = new Map<PlaceName, SyncValue & { readonly type: string }>()
  const violations: string[] = []
  const isKnown = (id: string) => [...bound.values()].includes(id)
  for (const { position, value } of events)
    if (value.type === 'put') {
      if (value.isNew === isKnown(value.checksum)) violations.push(`put at ${position}: isNew is ${value.isNew}`)
      bound.set(value.key, value.checksum)
      leaving.delete(value.key)
    } else if (value.type === 'delete') {
      for (const key of value.keys) {
        const before = bound.get(key) ?? leaving.get(key)
        if (before !== value.checksum)
          violations.push(`delete at ${position}: ${key} was bound to ${before}, not to ${value.checksum}`)
        if (!leaving.delete(key)) bound.delete(key)
      }
      if (value.more)
        for (const [key, id] of bound)
          if (id === value.checksum) {
            leaving.set(key, id)
            bound.delete(key)
          }
    } else {
      if (value.op === 'put' && !isKnown(value.checksum) && ![...leaving.values()].includes(value.checksum))
        violations.push(`${value.type} at ${position}: a copy of ${value.checksum}, which no key is bound to`)
      told.set(placeName(value.backend, value.key), value)
    }
  return { bound: new Map([...leaving, ...bound]), told, violations }
}

/** Compares the log with the rows: they must agree. */
export function checkLog(rows: StoreRows): string[] {
  const { bound, told, violations } = replay(rows)
  const differing = [...new Set([...bound.keys(), ...rows.bindings.keys()])].filter(
    (key) => bound.get(key) !== rows.bindings.get(key)?.id,
  )
  return [
    ...violations,
    ...differing.map((key) => `${key} is bound to ${rows.bindings.get(key)?.id}, and by the log to ${bound.get(key)}`),
    ...[...rows.locations].flatMap(([place, { id, state }]) => {
      const last = told.get(place)
      const isTold =
        (state !== 'synced' || (last?.type === 'sync:complete' && last.op === 'put' && last.checksum === id)) &&
        ((state !== 'failed' && state !== 'conflict') || (last?.type === 'sync:error' && last.checksum === id))
      return isTold ? [] : [`${keyOf(place)} of ${id} is ${state}, and the log says ${JSON.stringify(last)} of it`]
    }),
  ]
}

/**
 * Ends of blobs that the log does not record: before a put takes the last key of another blob, the log must say that
 * this one is gone.
 */
export function untoldEnds({ events }: Pick<StoreRows, 'events'>): string[] {
  const bound = new Map<string, string>()
  const untold: string[] = []
  for (const [i, { position, value }] of events.entries()) {
    if (value.type === 'delete') for (const key of value.keys) bound.delete(key)
    if (value.type !== 'put') continue
    const former = bound.get(value.key)
    bound.set(value.key, value.checksum)
    if (former === undefined || [...bound.values()].includes(former)) continue
    const last = events[i - 1]?.value
    if (last?.type !== 'delete' || last.checksum !== former)
      untold.push(`put at ${position}: nothing says that ${former} is gone with its last key`)
  }
  return untold
}
