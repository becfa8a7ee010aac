import type { Lookup } from '../find-module.ts'

/** Where a backend was configured. */
export interface BackendPlaces {
  /** Where its driver is looked up. */
  readonly lookup: Lookup
  /** Where an option was given, or the backend itself if the option was not: `stored.config.json:12`. */
  whereOf(option?: string): string
}

/** Next to the configuration, not in it: drivers are strict about their options. */
const PLACES = new WeakMap<object, BackendPlaces>()

export function rememberPlaces(backend: object, places: BackendPlaces): void {
  PLACES.set(backend, places)
}

/** Where a backend of a loaded configuration was configured; `undefined` if a program made it. */
export function placesOf(backend: object): BackendPlaces | undefined {
  return PLACES.get(backend)
}
