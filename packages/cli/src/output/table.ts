import { printable } from '@stored/core/printable'
import { type Part, paint } from './painted.ts'

/** The column widths are measured from these rows; later rows follow them, however many there are. */
const MEASURED_ROWS = 200

export interface Column {
  readonly title: string
  readonly align?: 'right'
}

/** Rows in columns; the last column has no fixed width. Holds only the rows it measures. */
export class Table {
  readonly #columns: readonly Column[]
  readonly #write: (line: Part) => Promise<void>
  #waiting: (readonly string[])[] = []
  #widths: readonly number[] | undefined

  constructor(columns: readonly Column[], write: (line: Part) => Promise<void>) {
    this.#columns = columns
    this.#write = write
  }

  async row(...cells: readonly string[]): Promise<void> {
    // Before measuring: escaping makes text longer.
    const row = cells.map(printable)
    if (this.#widths) return this.#write(this.#lineOf(row, this.#widths))
    this.#waiting.push(row)
    if (this.#waiting.length >= MEASURED_ROWS) await this.end()
  }

  /** Writes the rows held back, or nothing if there are none. */
  async end(): Promise<void> {
    const rows = this.#waiting
    this.#waiting = []
    if (rows.length === 0) return
    const titles = this.#columns.map(({ title }) => printable(title))
    this.#widths ??= titles.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)))
    await this.#write(paint('1', this.#lineOf(titles, this.#widths)))
    for (const row of rows) await this.#write(this.#lineOf(row, this.#widths))
  }

  #lineOf(row: readonly string[], widths: readonly number[]): string {
    const last = this.#columns.length - 1
    const cells = this.#columns.map(({ align }, i) => {
      const cell = row[i] ?? ''
      if (align === 'right') return cell.padStart(widths[i] ?? 0)
      return i === last ? cell : cell.padEnd(widths[i] ?? 0)
    })
    return cells.join('  ').trimEnd()
  }
}
