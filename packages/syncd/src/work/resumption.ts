import type { Claimed, GuardedBackend, Queue } from '@stored/core'

/** What the put of a job goes on from, and where the next one will. */
export class Resumption {
  /** What the ledger failed with when a checkpoint was to be kept: not the fault of the backend. */
  failure: { readonly cause: unknown } | undefined
  readonly #queue: Pick<Queue, 'keepCheckpoint'>
  readonly #job: Claimed
  #checkpoint: string | undefined

  constructor(queue: Pick<Queue, 'keepCheckpoint'>, job: Claimed) {
    this.#queue = queue
    this.#job = job
    this.#checkpoint = job.checkpoint
  }

  /** The next put begins anew. */
  forget(): void {
    this.#checkpoint = undefined
  }

  /** What a put on `backend` is told. */
  optionsFor({ capabilities }: GuardedBackend) {
    if (!capabilities.resume) return {}
    return { checkpoint: this.#checkpoint, onCheckpoint: this.#keep }
  }

  readonly #keep = async (checkpoint: string): Promise<void> => {
    try {
      await this.#queue.keepCheckpoint(this.#job, checkpoint)
    } catch (cause) {
      this.failure = { cause }
      throw cause
    }
    this.#checkpoint = checkpoint
  }
}
