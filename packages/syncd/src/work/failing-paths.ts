/** How many are remembered before all are forgotten. */
const MAX_REMEMBERED = 10_000

/** The criteria for choosing among jobs. */
export interface Candidate {
  readonly key: string
  /** The error of its last try. */
  readonly error?: unknown
}

/**
 * Remembers where jobs of a backend fail, so that a job far away can show whether the backend works. A failed job's
 * directory and all those above it are remembered until a job there succeeds.
 */
export class FailingPaths {
  readonly #paths = new Set<string>()

  failed(key: string): void {
    if (this.#paths.size > MAX_REMEMBERED) this.#paths.clear()
    for (const path of pathsOf(key)) this.#paths.add(path)
  }

  answered(key: string): void {
    for (const path of pathsOf(key)) this.#paths.delete(path)
  }

  /** How much a job shares with failed ones: 0 if none failed near it, `Infinity` if it failed itself. */
  nearness({ key, error }: Candidate): number {
    if (error !== undefined) return Number.POSITIVE_INFINITY
    return pathsOf(key).filter((path) => this.#paths.has(path)).length
  }
}

/** The directory of a key and all above it; for a key at the top the top itself. */
function pathsOf(key: string): string[] {
  const segments = key.split('/').slice(0, -1)
  if (segments.length === 0) return ['']
  return segments.map((_, i) => segments.slice(0, i + 1).join('/'))
}
