import { checkOption, unknownName } from '../../backend/options.ts'
import { is, needed } from '../../backend/rules.ts'
import type { ExtensionEvent } from '../../model/event.ts'
import type { StoreEvent, StoreEventOf } from '../types.ts'

const AT = { op: 'on' }
/** Each of them: one that is missing here does not compile. */
const TYPES: Readonly<Record<Exclude<StoreEvent['type'], ExtensionEvent['type']>, true>> = {
  put: true,
  delete: true,
  'sync:start': true,
  'sync:complete': true,
  'sync:retry': true,
  'sync:error': true,
  degraded: true,
  log: true,
}

/** Of what backends have to say before anybody listens: the store that opens them has only just been opened. */
const MOST_UNHEARD = 100

type Listener = (event: StoreEvent) => void

/** Calls listeners in the order they came. One that throws becomes a process warning and breaks nothing. */
export class Events {
  readonly #extensions = new Set<string>()
  readonly #listeners = new Map<StoreEvent['type'], Set<Listener>>()
  /** For the first who listens to the log; `null` once somebody does. */
  #unheard: StoreEvent[] | null = []

  /** @throws {StorageError} INVALID_ARGUMENT: no such event, which would never be heard; or no function. */
  on<Type extends StoreEvent['type']>(type: Type, listener: (event: StoreEventOf<Type>) => void): () => void {
    checkOption('type', type, needed(is.text), AT)
    if (!Object.hasOwn(TYPES, type) && !this.#isOfExtension(type))
      throw unknownName('event', type, Object.keys(TYPES), AT)
    checkOption('listener', listener, needed(is.callback), AT)
    const listeners = this.#listeners.get(type) ?? new Set()
    this.#listeners.set(type, listeners)
    const entry: Listener = (event) => listener(event as StoreEventOf<Type>)
    listeners.add(entry)
    // Not before the caller has what this returns.
    if (type === 'log') queueMicrotask(() => this.#catchUp())
    return () => void listeners.delete(entry)
  }

  /** Events of an extension can be listened for from now on. */
  addExtension(name: string): void {
    this.#extensions.add(name)
  }

  /** Which events it has, only the extension knows. */
  #isOfExtension(type: string): boolean {
    const end = type.indexOf('.')
    return end > 0 && this.#extensions.has(type.slice(0, end))
  }

  emit(event: StoreEvent): void {
    if (event.type === 'log' && this.#unheard) {
      if (this.#unheard.length < MOST_UNHEARD) this.#unheard.push(event)
      return
    }
    for (const listener of this.#listeners.get(event.type) ?? []) {
      try {
        listener(event)
      } catch (error) {
        process.emitWarning(error instanceof Error ? error : String(error), { code: 'STORED_LISTENER' })
      }
    }
  }

  #catchUp(): void {
    const unheard = this.#unheard ?? []
    this.#unheard = null
    for (const event of unheard) this.emit(event)
  }
}
