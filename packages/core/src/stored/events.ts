import type { StoreEvent, StoreEventOf } from './types.ts'

type Listener = (event: StoreEvent) => void

/** Calls listeners in the order they came. One that throws becomes a process warning and breaks nothing. */
export class Events {
  readonly #listeners = new Map<StoreEvent['type'], Set<Listener>>()

  on<Type extends StoreEvent['type']>(type: Type, listener: (event: StoreEventOf<Type>) => void): () => void {
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
