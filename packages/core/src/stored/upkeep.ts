import type { View } from '../ports/ledger.ts'
import type { OnCommit } from './also.ts'
import { releaseVerified } from './backends/release.ts'
import type { Calls } from './calls.ts'
import { finishDeletions } from './delete/deletion.ts'
import { whyNothingLeaves } from './lookup/synced.ts'
import type { Services } from './services.ts'

/** What a store does by itself: it ends deletions that were cut off, and makes room in staging. */
export class Upkeep {
  readonly #services: Services
  readonly #calls: Calls
  readonly #onCommit: OnCommit
  #makesRoom: 'no' | 'once' | 'again' = 'no'
  #isFinishing = false

  constructor(services: Services, calls: Calls, onCommit: OnCommit) {
    this.#services = services
    this.#calls = calls
    this.#onCommit = onCommit
  }

  /** Goes on with deletions that were cut off, here or in a process that is gone. */
  finishDeletions(): void {
    if (this.#calls.isClosed || this.#isFinishing) return
    this.#isFinishing = true
    this.#calls
      .run({ op: 'delete' }, () => finishDeletions(this.#services, this.#onCommit, () => this.#calls.isClosed))
      .catch((error: Error) => {
        // The next opening goes on.
        if (!this.#calls.isClosed) process.emitWarning(error, { code: 'STORED_DELETE' })
      })
      .finally(() => {
        this.#isFinishing = false
      })
  }

  /** For puts that wait here: the process that syncs does not know about them. */
  makeRoom(): void {
    if (this.#calls.isClosed) return
    // Who comes while room is made may have been overlooked.
    if (this.#makesRoom !== 'no') {
      this.#makesRoom = 'again'
      return
    }
    this.#makesRoom = 'once'
    this.#calls
      .run({ op: 'put' }, () => this.#release())
      .catch((error: Error) => process.emitWarning(error, { code: 'STORED_RELEASE' }))
      .finally(() => {
        const isMore = this.#makesRoom === 'again'
        this.#makesRoom = 'no'
        if (isMore) this.makeRoom()
      })
  }

  async #release(): Promise<void> {
    const { backends, staging } = this.#services
    const isReliable = (view: View, backend: string) => backends.isReliable(view, backend)
    const { blobs } = await releaseVerified(this.#services, isReliable, Date.now())
    const why = blobs > 0 ? null : await whyNothingLeaves(this.#services)
    if (why !== null) staging.refuseWaiting(why)
  }
}
