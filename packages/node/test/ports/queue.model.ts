import type { BlobId, Claimed, JobCounts } from '@stored/core'
import { compareKeys } from '@stored/core/backend'

/** What has run for so long when its process died is not why. */
const INNOCENT_MS = 60_000
/** The longest any job waits. */
export const MAX_DELAY_MS = 60 * 60 * 1000

export interface ModelJob {
  readonly backend: string
  readonly key: string
  readonly id: BlobId
  readonly size: number
  readonly attempts: number
  readonly crashes: number
  readonly begun: boolean
  readonly created: number
  readonly due: number
  readonly isFailed: boolean
  readonly checkpoint: string | undefined
  /** When it was queued; later than the job that runs at its place. */
  readonly queued: number
}

export interface ModelRunning extends ModelJob {
  readonly lease: string
  readonly until: number
  readonly isMarked: boolean
  readonly since: number
  readonly renewed: number
}

interface Times {
  readonly now: number
  /** When the lease ends. */
  readonly until: number
}

export interface ModelPlace {
  waiting?: ModelJob | undefined
  running?: ModelRunning | undefined
  parked?: ModelJob | undefined
}

/** What the queue shall do, without trees, leases in rows, or counters. */
export class QueueModel {
  readonly places = new Map<string, ModelPlace>()
  readonly paused = new Set<string>()

  enqueue(job: { backend: string; key: string; id: BlobId; size: number }, now: number): void {
    const place = this.place(job)
    const untried = { attempts: 0, crashes: 0, begun: false, isFailed: false, checkpoint: undefined }
    place.waiting = {
      ...job,
      ...untried,
      created: now,
      due: now,
      queued: now === place.running?.queued ? now + 1 : now,
    }
    place.parked = undefined
  }

  /** What may be claimed, in the order in which it shall be. */
  claimable(backend: string, now: number): ModelJob[] {
    if (this.paused.has(backend)) return []
    const ready = this.ready(backend)
    return [...ready.filter(({ due }) => due <= now), ...ready.filter((job) => isMisdated(job, now))]
  }

  nextDue(backend: string, now: number): number | null {
    const ready = this.ready(backend)
    if (this.paused.has(backend) || ready.length === 0) return null
    return ready.some((job) => isMisdated(job, now)) ? now : (ready[0]?.due ?? null)
  }

  /** Waiting jobs that stand behind no running one. */
  ready(backend: string): ModelJob[] {
    return [...this.places.values()]
      .flatMap(({ waiting, running }) => (waiting && !running && waiting.backend === backend ? [waiting] : []))
      .sort((a, b) => a.due - b.due || byAge(a, b))
  }

  claimed(job: ModelJob, lease: string, { until, now }: Times): void {
    const place = this.place(job)
    place.waiting = undefined
    place.running = { ...job, attempts: job.attempts + 1, lease, until, isMarked: false, since: now, renewed: now }
  }

  isOurs({ lease, ...at }: Claimed): boolean {
    return this.place(at).running?.lease === lease
  }

  mark(at: Claimed, { until, now }: Times): void {
    const place = this.place(at)
    if (place.running) place.running = { ...place.running, until, isMarked: true, since: now, renewed: now }
  }

  renew(at: Claimed, { until, now }: Times): void {
    const place = this.place(at)
    if (place.running) place.running = { ...place.running, until, renewed: now }
  }

  keepCheckpoint(at: Claimed, checkpoint: string): void {
    const place = this.place(at)
    if (!place.running || place.running.checkpoint === checkpoint) return
    place.running = { ...place.running, checkpoint, crashes: 0, isMarked: false }
  }

  /** What waits for a later try is due. */
  resume(backend: string, now: number): void {
    this.paused.delete(backend)
    for (const { due, ...at } of this.ready(backend)) if (due > now) this.place(at).waiting = { ...at, due: now }
  }

  complete(at: Claimed): void {
    this.place(at).running = undefined
  }

  retry(at: Claimed, due: number, { free, anew }: { free: boolean; anew: boolean }): void {
    this.#end(at, (place, job) => {
      const attempts = job.attempts - (free ? 1 : 0)
      const checkpoint = anew ? undefined : job.checkpoint
      place.waiting = again(job, { attempts, crashes: 0, begun: true, due, isFailed: true, checkpoint })
    })
  }

  giveBack(at: Claimed): void {
    this.#end(at, (place, job) => {
      place.waiting = again(job, { attempts: job.attempts - 1 })
    })
  }

  park(at: Claimed): void {
    this.#end(at, (place, job) => {
      place.parked = { ...job, begun: true, isFailed: true, checkpoint: undefined }
    })
  }

  /** @param now `null`: all, whatever their leases say. */
  recover(now: number | null): number {
    const running = this.#sorted().flatMap((place) => (place.running ? [place.running] : []))
    const lost = running.filter(({ until }) => now === null || until < now || until > now + MAX_DELAY_MS)
    const hasBegun = (job: (typeof lost)[number]) => job.crashes === 0 || job.isMarked
    const isInnocent = (job: (typeof lost)[number]) => hasBegun(job) && job.renewed - job.since >= INNOCENT_MS
    const guilty = now === null ? lost.filter((job) => !isInnocent(job)) : []
    const marked = guilty.filter((job) => job.isMarked)
    for (const job of lost)
      this.#end(job, (place) => {
        const hasCrashed = guilty.includes(job) && (job.crashes === 0 || (job.isMarked && marked.length === 1))
        const isCleared = now === null && !guilty.includes(job)
        place.waiting = again(job, { crashes: isCleared ? 0 : job.crashes + (hasCrashed ? 1 : 0), begun: true })
      })
    return lost.length
  }

  unpark(at: { backend: string; key: string }, now: number): void {
    const place = this.place(at)
    if (!place.parked) return
    place.waiting = again(place.parked, { attempts: 0, crashes: 0, due: now, isFailed: false })
    place.parked = undefined
  }

  /** @returns Whether it may be: nothing runs there. */
  drop(at: { backend: string; key: string }): boolean {
    const place = this.place(at)
    if (place.running) return false
    place.waiting = undefined
    place.parked = undefined
    return true
  }

  place({ backend, key }: { backend: string; key: string }): ModelPlace {
    const name = `${backend}\0${key}`
    const place = this.places.get(name) ?? {}
    this.places.set(name, place)
    return place
  }

  begun(at: { backend: string; key: string }): boolean {
    const { waiting, running, parked } = this.place(at)
    return running !== undefined || parked !== undefined || waiting?.begun === true
  }

  counts(backend: string): JobCounts {
    const of = (state: keyof ModelPlace): ModelJob[] =>
      [...this.places.values()].flatMap((place) => place[state] ?? []).filter((job) => job.backend === backend)
    const [waiting, running, parked] = [of('waiting'), of('running'), of('parked')]
    const bytes = [...waiting, ...running, ...parked].reduce((sum, { size }) => sum + size, 0)
    const [oldest] = [...waiting, ...running].sort(byAge)
    return {
      waiting: waiting.length,
      running: running.length,
      parked: parked.length,
      bytes,
      ...(oldest && { oldest: oldest.created }),
    }
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

/** What was queued in one millisecond comes in the order of its keys. */
function byAge(a: ModelJob, b: ModelJob): number {
  return a.queued - b.queued || compareKeys(a.key, b.key)
}

/** No job waits that long: it was dated by a clock that was set back since. */
function isMisdated({ due }: ModelJob, now: number): boolean {
  return due > now + MAX_DELAY_MS
}

/** Without what only a running job has. */
function again(job: ModelJob | ModelRunning, changes: Partial<ModelJob>): ModelJob {
  const next: ModelJob & Partial<ModelRunning> = { ...job, ...changes }
  const { lease: _, until: __, isMarked: ___, since: ____, renewed: _____, ...kept } = next
  return kept
}
