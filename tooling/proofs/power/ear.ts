import type { Model } from '@stored/kill/model'
import type { Message } from '@stored/kill/protocol'

/** Passes the messages of a process to the model, except its complaints about a missing disk. */
export class Ear {
  /** Set just before the cut. */
  isCut = false
  /** Calls rejected since the cut. They may have happened nevertheless. */
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
