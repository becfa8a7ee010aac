import type { BlobId, Claimed, JobCounts } from '@stored/core'
import { compareKeys } from '@stored/core/backend'

export interface ModelJob {
  readonly backend: string
  readonly key: string
  readonly id: BlobId
  readonly size: number
  readonly attempts: number
  readonly due: number
  readonly isFailed: boolean
  /** Of the commit that wrote it. */
  readonly order: number
}

export interface ModelPlace {
  waiting?: ModelJob | undefined
  running?: (ModelJob & { lease: string }) | undefined
  parked?: ModelJob | undefined
}

/** What the queue shall do, without trees, leases in rows, or counters. */
export class QueueModel {
  readonly places = new Map<string, ModelPlace>()
  #order = 0

  enqueue(job: { backend: string; key: string; id: BlobId; size: number }, now: number): void {
    const place = this.place(job)
    place.waiting = { ...job, attempts: 0, due: now, isFailed: false, order: this.#order++ }
    place.parked = undefined
  }

  /** What may be claimed, in the order in which it shall be. */
  claimable(backend: string, now: number): ModelJob[] {
    return this.ready(backend).filter(({ due }) => due <= now)
  }

  /** Waiting jobs that stand behind no running one. */
  ready(backend: string): ModelJob[] {
    return [...this.places.values()]
      .flatMap(({ waiting, running }) => (waiting && !running && waiting.backend === backend ? [waiting] : []))
      .sort((a, b) => a.due - b.due || a.order - b.order)
  }

  claimed(job: ModelJob, lease: string): void {
    const place = this.place(job)
    place.waiting = undefined
    place.running = { ...job, attempts: job.attempts + 1, lease }
  }

  isOurs({ lease, ...at }: Claimed): boolean {
    return this.place(at).running?.lease === lease
  }

  complete(at: Claimed): void {
    this.place(at).running = undefined
  }

  retry(at: Claimed, due: number): void {
    this.#end(at, (place, job) => {
      place.waiting = { ...job, due, isFailed: true, order: this.#order++ }
    })
  }

  park(at: Claimed): void {
    this.#end(at, (place, job) => {
      place.parked = { ...job, isFailed: true }
    })
  }

  recover(): number {
    const running = this.#sorted().flatMap(({ running }) => (running ? [running] : []))
    for (const job of running)
      this.#end(job, (place) => {
        place.waiting = { ...job, order: this.#order++ }
      })
    return running.length
  }

  unpark(backend: string, now: number): number {
    const parked = this.#sorted().flatMap((place) => (place.parked?.backend === backend ? [place.parked] : []))
    for (const job of parked) {
      const place = this.place(job)
      place.parked = undefined
      place.waiting = { ...job, attempts: 0, due: now, isFailed: false, order: this.#order++ }
    }
    return parked.length
  }

  place({ backend, key }: { backend: string; key: string }): ModelPlace {
    const name = `${backend}\0${key}`
    const place = this.places.get(name) ?? {}
    this.places.set(name, place)
    return place
  }

  counts(backend: string): JobCounts {
    const of = (state: keyof ModelPlace) =>
      [...this.places.values()].flatMap((place) => place[state] ?? []).filter((job) => job.backend === backend)
    const [waiting, running, parked] = [of('waiting'), of('running'), of('parked')]
    const bytes = [...waiting, ...running, ...parked].reduce((sum, { size }) => sum + size, 0)
    return { waiting: waiting.length, running: running.length, parked: parked.length, bytes }
  }

  #end(at: { backend: string; key: string }, next: (place: ModelPlace, job: ModelJob) => void): void {
    const place = this.place(at)
    const job = place.running
    place.running = undefined
    if (job && !place.waiting) next(place, job)
  }

  #sorted(): ModelPlace[] {
    return [...this.places].sort(([a], [b]) => compareKeys(a, b)).map(([, place]) => place)
  }
}
