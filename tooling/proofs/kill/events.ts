import type { openStore } from '@stored/node'
import type { ExpectedLog, Told } from './protocol.ts'

type Store = Awaited<ReturnType<typeof openStore>>

/** What a store's log says about puts and deletes. */
export interface Log {
  readonly told: readonly Told[]
  /** Position of the last event. */
  readonly last: string
}

export async function readLog(store: Store, since: string): Promise<Log> {
  const told: Told[] = []
  let last = since
  for await (const event of store.events({ since })) {
    last = event.position
    if (event.type === 'put') told.push({ op: 'put', key: event.key, sha256: event.checksum.slice('sha256:'.length) })
    // Copies that were given up: no key was unbound.
    if (event.type === 'delete') told.push(...event.keys.map((key) => ({ op: 'delete', key }) as const))
  }
  return { told, last }
}

/**
 * @param calls For each key in the order of its calls. Those that were not acknowledged may have happened nevertheless.
 * @returns What is wrong with a log: nothing acknowledged may be missing, recorded twice or out of order, and nothing
 *   made up.
 */
export function faultsOf({ told }: Pick<Log, 'told'>, calls: ExpectedLog['told']): string[] {
  const [found, expected] = [byKey(told), byKey(calls)]
  return [...new Set([...found.keys(), ...expected.keys()])].flatMap((key) => {
    const [is, may] = [found.get(key) ?? [], expected.get(key) ?? []]
    if (agrees(is, may)) return []
    const whole = may.map((call) => `${call.isAcknowledged ? '' : 'perhaps '}${textOf(call)}`)
    return [`the log tells of ${key} [${is.map(textOf)}], and should [${whole}]`]
  })
}

/** Whether a log is the calls in order, without some of those that were not acknowledged. */
function agrees(log: readonly Told[], calls: ExpectedLog['told']): boolean {
  const skip = (from: number) => {
    const next = calls.slice(from).findIndex(({ isAcknowledged }) => isAcknowledged)
    return next < 0 ? calls.length : from + next
  }
  // How many of the calls may be done: each event can be one of several.
  let behind = new Set([0])
  for (const event of log)
    behind = new Set(
      [...behind].flatMap((from) =>
        calls.slice(from, skip(from) + 1).flatMap((call, i) => (isTold(call, event) ? [from + i + 1] : [])),
      ),
    )
  return [...behind].some((from) => skip(from) === calls.length)
}

function isTold(call: Told, event: Told): boolean {
  return call.op === event.op && call.sha256 === event.sha256
}

/** For people. */
function textOf({ op, sha256 }: Told): string {
  return sha256 === undefined ? op : `${op} ${sha256.slice(0, 8)}`
}

function byKey<T extends Told>(told: readonly T[]): Map<string, T[]> {
  return Map.groupBy(told, ({ key }) => key)
}
