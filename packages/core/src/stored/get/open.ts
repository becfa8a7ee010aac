import type { ErrorLocation } from '../../backend/error.ts'
import { checkOption } from '../../backend/options.ts'
import { is, type RulesOf } from '../../backend/rules.ts'
import type { View } from '../../ports/ledger.ts'
import type { Opened } from '../../ports/staging.ts'
import { Thrown } from '../also.ts'
import { type Found, found } from '../lookup/find.ts'
import { checkName } from '../lookup/names.ts'
import { recordOf } from '../lookup/record.ts'
import type { Services } from '../services.ts'
import type { BlobRecord, GetOptions, OpenedBlob, OpenOptions } from '../types.ts'
import { chosenBackends, GET_OPTIONS, type Readable, readableUnder, readChosen } from './get.ts'

const { stream: _, ...OPTIONS } = GET_OPTIONS

export const OPEN_OPTIONS: RulesOf<OpenOptions> = {
  ...OPTIONS,
  range: { expected: 'an object, or a function', holds: (value) => is.object.holds(value) || is.callback.holds(value) },
}

interface Shown extends Readable {
  readonly shown: Found
}

/** Opens a blob by what one view shows: its record, and the copy that is read. */
export function openBlob<T>(
  services: Services,
  idOrKey: string,
  options: OpenOptions,
  signal: AbortSignal,
  consume: (opened: Opened, shown: Omit<OpenedBlob, 'body'>) => Promise<T>,
): Promise<T> {
  const at = { op: 'open', key: idOrKey }
  checkName(idOrKey, at)
  const { range, ...others } = options
  const shown = ({ shown }: Shown) => recordOf(shown, (backend) => services.backends.has(backend))
  const rangeOf = (known: Shown) => {
    return checkRange(typeof range === 'function' ? chosenBy(range, shown(known)) : range, at)
  }
  return readChosen(services, idOrKey, {
    at,
    chosen: chosenBackends(services, others, at),
    reading: { options: others, signal, isCacheAsked: false },
    look: (view) => shownUnder(services, view, idOrKey),
    rangeOf,
    consumerOf: (known, range) => ({ read: (opened) => consume(opened, { record: shown(known), range }) }),
  })
}

function shownUnder(services: Services, view: View, idOrKey: string): Shown | null {
  const readable = readableUnder(services, view, idOrKey)
  const shown = readable && found(services, view, idOrKey)
  return shown && { ...readable, shown }
}

/** @throws {Thrown} What the caller's function throws, who is to get that. */
function chosenBy(choose: (record: BlobRecord) => GetOptions['range'], record: BlobRecord): unknown {
  try {
    return choose(record)
  } catch (error) {
    throw new Thrown(error)
  }
}

function checkRange(range: unknown, at: ErrorLocation): GetOptions['range'] {
  return checkOption('range', range, GET_OPTIONS.range, at) as GetOptions['range']
}
