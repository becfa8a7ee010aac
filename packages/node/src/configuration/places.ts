import type { Lookup } from '../find-module.ts'

/** Where a backend was configured. */
export interface BackendPlaces {
  /** Where its driver is looked up. */
  readonly lookup: Lookup
  /** Of an option, of the backend itself when that was not given: `stored.config.json:12`. */
  whereOf(option?: string): string
}

/** Beside the configuration, not in it: drivers are strict about what they are given. */
const PLACES = new WeakMap<object, BackendPlaces>()

export function rememberPlaces(backend: object, places: BackendPlaces): void {
  PLACES.set(backend, places)
}

/** Where a backend of a loaded configuration was configured; `undefined`: a program made it. */
export function placesOf(backend: object): BackendPlaces | undefined {
  return PLACES.get(backend)
}
