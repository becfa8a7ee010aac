import { checkOptions } from '../../backend/options.ts'
import { type Check, is, type RulesOf } from '../../backend/rules.ts'
import type { DurableEvent, Logged, Position } from '../../model/event.ts'
import type { Services } from '../services.ts'
import type { EventsOptions } from '../types.ts'
import { type Changes, waitFor } from './changes.ts'

const AT = { op: 'events' }
const NUMBER = is.whole(0)
/** Which positions there are, the ledger knows. Numbers of earlier versions stay valid. */
const SINCE: Check = {
  expected: 'the position of an event',
  holds: (value) => is.text.holds(value) || NUMBER.holds(value),
  shown: 'number',
}
const OPTIONS: RulesOf<EventsOptions> = { since: SINCE, follow: is.boolean, signal: is.signal }

/** @returns What was checked. @throws {StorageError} INVALID_ARGUMENT. */
export function checkEventsOptions(options: EventsOptions): EventsOptions {
  return checkOptions(options, OPTIONS, AT)
}

/** What the log holds behind `since`, in pages, and with `follow` whatever comes. */
export async function* readEvents(
  { ledger }: Services,
  changes: Changes,
  { since = 0, follow = false }: EventsOptions,
  signal: AbortSignal,
): AsyncGenerator<readonly Logged<DurableEvent>[], void, void> {
  for (let last: Position | number = since; ; ) {
    const changed = changes.next()
    for await (const page of ledger.events({ since: last, signal })) {
      yield page
      last = page.at(-1)?.position ?? last
    }
    if (!follow) return
    await waitFor(changed, signal, AT)
  }
}
