/** How many are remembered before all are forgotten. */
const MAX_REMEMBERED = 10_000

/** What a choice among jobs goes by. */
export interface Candidate {
  readonly key: string
  /** Of its last try. */
  readonly error?: unknown
}

/**
 * Where jobs of a backend fail, so that another one, far from there, can show whether the backend does. A directory whose job
 * failed is remembered with all above it, until a job there is answered.
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

  /** How much a job shares with those that failed: 0 for one that failed nowhere near, `Infinity` for one that failed itself. */
  nearness({ key, error }: Candidate): number {
    if (error !== undefined) return Number.POSITIVE_INFINITY
    return pathsOf(key).filter((path) => this.#paths.has(path)).length
  }
}

/** The directory of a key and all above it; of a key at the top the top itself. */
function pathsOf(key: string): string[] {
  const segments = key.split('/').slice(0, -1)
  if (segments.length === 0) return ['']
  return segments.map((_, i) => segments.slice(0, i + 1).join('/'))
}
