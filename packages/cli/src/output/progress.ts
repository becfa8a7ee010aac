import type { WriteStream } from 'node:tty'
import { printable } from '@stored/core/printable'
import { bytes, span } from './format.ts'

const FRAME_MS = 100

export interface ProgressState {
  readonly title: string
  /** Bytes, or blobs if there are several. */
  readonly done: number
  readonly total?: number | undefined
  readonly note?: string
  /** How amounts are written. @default bytes */
  readonly shown?: (amount: number) => string
}

/** A progress line on stderr, redrawn in place: amount, speed, time left. Shows nothing without a terminal. */
export class Progress {
  readonly #stream: Pick<WriteStream, 'write' | 'columns'> | null
  readonly #now: () => number
  #began: number | undefined
  #doneAtBegin = 0
  #drawn = Number.NEGATIVE_INFINITY
  #isShown = false

  /** @param stream `null`: no terminal. @param now In milliseconds. */
  constructor(stream: Pick<WriteStream, 'write' | 'columns'> | null, now: () => number = () => performance.now()) {
    this.#stream = stream
    this.#now = now
  }

  /** Whether a progress line is shown: compute expensive totals only then. */
  get isLive(): boolean {
    return this.#stream !== null
  }

  show(state: ProgressState): void {
    if (!this.#stream) return
    const now = this.#now()
    if (this.#began === undefined) {
      this.#began = now
      this.#doneAtBegin = state.done
    }
    if (now - this.#drawn < FRAME_MS) return
    this.#drawn = now
    this.#isShown = true
    const line = printable(progressLine(state, state.done - this.#doneAtBegin, now - this.#began))
    this.#stream.write(`\r\x1b[2K${line.slice(0, Math.max(20, (this.#stream.columns || 80) - 1))}`)
  }

  /** Clears the line, so that another one can be printed. */
  clear(): void {
    if (this.#isShown) this.#stream?.write('\r\x1b[2K')
    this.#isShown = false
    this.#drawn = Number.NEGATIVE_INFINITY
  }

  /** Ends this task; the next state starts a new one. */
  end(): void {
    this.clear()
    this.#began = undefined
  }
}

/** @param gained Since it began. @param elapsed In milliseconds. */
export function progressLine(state: ProgressState, gained: number, elapsed: number): string {
  const { title, done, total, note, shown = bytes } = state
  const parts = [title, total === undefined ? shown(done) : `${shown(done)} of ${shown(total)}`]
  const perMs = elapsed > 0 ? gained / elapsed : 0
  if (perMs > 0) parts.push(`${shown(perMs * 1000)}/s`)
  if (perMs > 0 && total !== undefined && total > done) parts.push(`ETA ${span((total - done) / perMs)}`)
  if (note) parts.push(note)
  return parts.join('  ')
}
