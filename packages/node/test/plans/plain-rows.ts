import type { StagedRow, StoreRows } from '@stored/testing/rows/rows'

/** What rows say, without times, tickets and etags: these only have to differ from each other. */
export function plainRows(rows: StoreRows) {
  const { bindings, facts, keysOf, placesOf, parked, due, owed, counts, marks, markRows, bad } = rows
  const untold = ({ lease: _, ...job }: { readonly lease?: string }) => job
  return {
    ...{ facts, keysOf, placesOf, parked, due, owed, counts, marks, markRows, bad },
    bindings: mapped(bindings, ({ created: _, modified: __, ...binding }) => binding),
    locations: mapped(rows.locations, ({ holds, ...location }) => ({ ...location, holds: holds?.id })),
    waiting: mapped(rows.waiting, untold),
    running: mapped(rows.running, untold),
    staged: mapped(rows.staged, ({ size }) => size),
    bytes: mapped(rows.staged, (row) => bytesOf(rows, row)),
    stagedTotal: rows.stagedTotal,
    events: rows.events.map(({ value }) => ({ ...value, version: undefined })),
    eventCount: rows.eventCount,
    swept: rows.swept,
  }
}

/** Which pack they lie in depends on which plans were of one commit. */
function bytesOf({ packs }: StoreRows, row: StagedRow): string | undefined {
  if ('file' in row) return undefined
  return packs.get(row.pack)?.bytes.toString('utf8', row.offset, row.offset + row.size)
}

function mapped<K, V, W>(map: ReadonlyMap<K, V>, to: (value: V) => W): Map<K, W> {
  return new Map([...map].map(([key, value]) => [key, to(value)]))
}
