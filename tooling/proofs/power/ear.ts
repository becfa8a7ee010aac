import type { Model } from '@stored/kill/model'
import type { Message } from '@stored/kill/protocol'

/** What a process says goes to the model, apart from its complaints about a disk that is gone. */
export class Ear {
  /** Set just before the cut. */
  isCut = false
  /** Calls that were rejected since the cut. They may have happened all the same. */
  refused = 0
  readonly #model: Model

  constructor(model: Model) {
    this.#model = model
  }

  readonly hear = (message: Message): void => {
    if (this.isCut && message.type === 'failed') this.refused++
    else if (!this.isCut || message.type !== 'parked') this.#model.hear(message)
  }
}
