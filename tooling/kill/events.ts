import type { openStore } from '@stored/node'
import type { ExpectedLog, Told } from './protocol.ts'

type Store = Awaited<ReturnType<typeof openStore>>

/** What the log of a store says of puts and deletes. */
export interface Log {
  readonly told: readonly Told[]
  /** Number of the last event. */
  readonly last: number
}

export async function readLog(store: Store, since: number): Promise<Log> {
  const told: Told[] = []
  let last = since
  for await (const event of store.events({ since })) {
    last = event.seq
    if (event.type === 'put') told.push({ op: 'put', key: event.key, sha256: event.checksum.slice('sha256:'.length) })
    // Copies that were given up: no key was unbound.
    if (event.type === 'delete') told.push(...event.keys.map((key) => ({ op: 'delete', key }) as const))
  }
  return { told, last }
}

/** @returns What is wrong with a log: nothing acknowledged is left out, told twice or out of order, and nothing is made up. */
export function faultsOf({ told }: Pick<Log, 'told'>, expected: Omit<ExpectedLog, 'since'>): string[] {
  const [found, acknowledged, perhaps] = [told, expected.told, expected.perhaps].map(byKey)
  return [...new Set([...(found?.keys() ?? []), ...(acknowledged?.keys() ?? [])])].flatMap((key) => {
    const is = found?.get(key) ?? []
    const must = acknowledged?.get(key) ?? []
    const may = perhaps?.get(key) ?? []
    if ([must, [...must, ...may]].some((one) => JSON.stringify(one) === JSON.stringify(is))) return []
    return [`the log tells of ${key} ${is}, and should ${must}${may.length > 0 ? ` and perhaps ${may}` : ''}`]
  })
}

function byKey(told: readonly Told[]): Map<string, string[]> {
  const sorted = new Map<string, string[]>()
  for (const { op, key, sha256 } of told) {
    const one = sha256 === undefined ? op : `${op} ${sha256.slice(0, 8)}`
    sorted.set(key, [...(sorted.get(key) ?? []), one])
  }
  return sorted
}
