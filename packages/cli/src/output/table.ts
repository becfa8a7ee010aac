import { printable } from './format.ts'

/** Rows that decide how wide the columns are; the others, however many, follow them. */
const MEASURED_ROWS = 200

export interface Column {
  readonly title: string
  readonly align?: 'right'
}

/** Rows in columns, the last one as wide as it likes. Holds no more than the rows it measures. */
export class Table {
  readonly #columns: readonly Column[]
  readonly #write: (line: string) => Promise<void>
  readonly #paint: (text: string) => string
  #waiting: (readonly string[])[] = []
  #widths: readonly number[] | undefined

  /** @param paint Colours the head. */
  constructor(columns: readonly Column[], write: (line: string) => Promise<void>, paint: (text: string) => string) {
    this.#columns = columns
    this.#write = write
    this.#paint = paint
  }

  async row(...cells: readonly string[]): Promise<void> {
    const row = cells.map(printable)
    if (this.#widths) return this.#write(this.#lineOf(row, this.#widths))
    this.#waiting.push(row)
    if (this.#waiting.length >= MEASURED_ROWS) await this.end()
  }

  /** Writes what was held back; nothing when there was no row. */
  async end(): Promise<void> {
    const rows = this.#waiting
    this.#waiting = []
    if (rows.length === 0) return
    const titles = this.#columns.map(({ title }) => title)
    this.#widths ??= titles.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)))
    await this.#write(this.#paint(this.#lineOf(titles, this.#widths)))
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
