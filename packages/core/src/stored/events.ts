import { checkOption, unknownName } from '../backend/options.ts'
import { is, needed } from '../backend/rules.ts'
import type { StoreEvent, StoreEventOf } from './types.ts'

const AT = { op: 'on' }
/** Each of them: one that is missing here does not compile. */
const TYPES: Readonly<Record<StoreEvent['type'], true>> = {
  put: true,
  delete: true,
  'sync:start': true,
  'sync:complete': true,
  'sync:retry': true,
  'sync:error': true,
  degraded: true,
}

type Listener = (event: StoreEvent) => void

/** Calls listeners in the order they came. One that throws becomes a process warning and breaks nothing. */
export class Events {
  readonly #listeners = new Map<StoreEvent['type'], Set<Listener>>()

  /** @throws {StorageError} INVALID_ARGUMENT: no such event, which would never be heard; or no function. */
  on<Type extends StoreEvent['type']>(type: Type, listener: (event: StoreEventOf<Type>) => void): () => void {
    checkOption('type', type, needed(is.text), AT)
    if (!Object.hasOwn(TYPES, type)) throw unknownName('event', type, Object.keys(TYPES), AT)
    checkOption('listener', listener, needed(is.callback), AT)
    const listeners = this.#listeners.get(type) ?? new Set()
    this.#listeners.set(type, listeners)
    const entry: Listener = (event) => listener(event as StoreEventOf<Type>)
    listeners.add(entry)
    return () => void listeners.delete(entry)
  }

  emit(event: StoreEvent): void {
    for (const listener of this.#listeners.get(event.type) ?? []) {
      try {
        listener(event)
      } catch (error) {
        process.emitWarning(error instanceof Error ? error : String(error), { code: 'STORED_LISTENER' })
      }
    }
  }
}
