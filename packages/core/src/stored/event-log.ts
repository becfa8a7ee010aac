import { StorageError } from '../backend/error.ts'
import { checkOptions, describeType } from '../backend/options.ts'
import type { DurableEvent, Logged } from '../ports.ts'
import { type Changes, waitFor } from './changes.ts'
import type { Services } from './services.ts'
import type { EventsOptions } from './types.ts'

const AT = { op: 'events' }

/** @throws {StorageError} INVALID_ARGUMENT. */
export function checkEventsOptions(options: EventsOptions): void {
  checkOptions(options, ['since', 'follow', 'signal'], AT)
  const { since = 0, follow = false } = options
  if (!(Number.isSafeInteger(since) && since >= 0))
    throw new StorageError('INVALID_ARGUMENT', AT, { detail: 'since is a whole number from 0' })
  if (typeof follow !== 'boolean')
    throw new StorageError('INVALID_ARGUMENT', AT, { detail: `follow is a boolean, not ${describeType(follow)}` })
}

/** What the log holds behind `since`, and with `follow` whatever comes. */
export async function* readEvents(
  { ledger }: Services,
  changes: Changes,
  { since = 0, follow = false }: EventsOptions,
  signal: AbortSignal,
): AsyncGenerator<Logged<DurableEvent>, void, void> {
  for (let last = since; ; ) {
    const changed = changes.next()
    for await (const event of ledger.events({ since: last, signal })) {
      yield event
      last = event.seq
    }
    if (!follow) return
    await waitFor(changed, signal, AT)
  }
}
