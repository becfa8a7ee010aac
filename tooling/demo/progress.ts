import { stderr } from 'node:process'
import { count } from './format.ts'

const BAR = 28
/** The least time between two redraws of the bar. */
const FRAME_MS = 50

/** Whether there is a terminal: otherwise print plain lines, as in a log. */
const LIVE = stderr.isTTY === true && !process.env.CI
const COLOR = LIVE && !process.env.NO_COLOR

/** The progress of one phase: a bar on a terminal, elsewhere a line for each quarter. */
export class Progress {
  readonly #title: string
  readonly #total: number
  readonly #describe: (amount: number) => string
  #done = 0
  #note = ''
  #drawn = 0
  #quarter = 0

  /** @param describe Formats an amount. */
  constructor(title: string, total: number, describe: (amount: number) => string = count) {
    this.#title = title
    this.#total = total
    this.#describe = describe
    this.#draw(true)
  }

  add(amount: number): void {
    this.#done += amount
    this.#draw(false)
  }

  /** Shows a text next to the bar, until another replaces it. */
  note(text: string): void {
    this.#note = text
    if (LIVE) this.#draw(true)
    else if (text) stderr.write(`${this.#title}: ${text}\n`)
  }

  end(): void {
    this.#note = ''
    this.#draw(true)
    if (LIVE) stderr.write('\n')
  }

  #draw(now: boolean): void {
    const share = this.#total === 0 ? 1 : Math.min(this.#done / this.#total, 1)
    if (!LIVE) {
      this.#log(share)
      return
    }
    if (!now && performance.now() - this.#drawn < FRAME_MS) return
    this.#drawn = performance.now()
    const full = Math.round(share * BAR)
    const bar = paint('36', '█'.repeat(full)) + paint('2', '░'.repeat(BAR - full))
    const amount = `${this.#describe(this.#done)} of ${this.#describe(this.#total)}`
    const note = this.#note && `  ${paint('33', this.#note)}`
    stderr.write(`\r\x1b[2K${this.#title.padEnd(22)} ${bar} ${amount}${note}`)
  }

  #log(share: number): void {
    const quarter = Math.floor(share * 4)
    if (quarter <= this.#quarter) return
    this.#quarter = quarter
    stderr.write(`${this.#title}: ${quarter * 25} %\n`)
  }
}

function paint(code: string, text: string): string {
  return COLOR ? `\x1b[${code}m${text}\x1b[0m` : text
}
