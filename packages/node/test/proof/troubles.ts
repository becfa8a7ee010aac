const EVENTS = ['unhandledRejection', 'warning']

/** What a run should never see: rejections that nobody handles, and warnings, such as of a ledger that failed. */
export class Troubles implements Disposable {
  readonly seen: unknown[] = []
  readonly #note = (trouble: unknown) => void this.seen.push(trouble)

  constructor() {
    for (const event of EVENTS) process.on(event, this.#note)
  }

  [Symbol.dispose](): void {
    for (const event of EVENTS) process.off(event, this.#note)
  }
}
