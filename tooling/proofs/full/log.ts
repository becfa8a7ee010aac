import { appendFileSync, existsSync, readFileSync } from 'node:fs'

export type Verdict = 'passed' | 'failed' | 'skipped'

/** The subject of a log. One that is resumed must have the same. */
export interface Subject {
  readonly commit: string
  readonly seed: number
}

const HEAD = /^test:full of (\S+), seed (\d+)$/
const LINE = /^(passed|failed|skipped) (\S+ \d+\/\d+) in \d+ s: /

/** A file with a line for each finished part, so that an interrupted run resumes after the last one. */
export class Log {
  readonly file: string
  readonly seed: number
  readonly #finished = new Map<string, Verdict>()

  /**
   * Resumes a log, or starts one.
   *
   * @param seed Of a new log, or of the existing one.
   * @throws {Error} The file is not a log, or belongs to another commit or seed.
   */
  static open(file: string, { commit, seed }: { readonly commit: string; readonly seed?: number | undefined }): Log {
    if (!existsSync(file)) {
      const log = new Log(file, seed ?? Date.now() % 1_000_000_000)
      log.#write(`test:full of ${commit}, seed ${log.seed}`)
      return log
    }
    const text = readFileSync(file, 'utf8')
    const [head = '', ...lines] = text.split('\n')
    const [, of, noted] = HEAD.exec(head) ?? []
    if (of === undefined) throw new Error(`${file} is not a log of test:full`)
    if (of !== commit)
      throw new Error(`${file} is of ${of}, and this is ${commit}: proofs of two versions prove neither`)
    if (seed !== undefined && seed !== Number(noted)) throw new Error(`${file} has seed ${noted}, not ${seed}`)
    const log = new Log(file, Number(noted))
    for (const line of lines) {
      const [, verdict, name] = LINE.exec(line) ?? []
      if (name !== undefined) log.#finished.set(name, verdict as Verdict)
    }
    // A line that was truncated while being written must not swallow the next one.
    if (!text.endsWith('\n')) log.#write('')
    return log
  }

  private constructor(file: string, seed: number) {
    this.file = file
    this.seed = seed
  }

  has(name: string): boolean {
    return this.#finished.has(name)
  }

  count(verdict: Verdict): number {
    return [...this.#finished.values()].filter((one) => one === verdict).length
  }

  /** @returns The line. */
  add(name: string, verdict: Verdict, ms: number, detail: string): string {
    const line = `${verdict} ${name} in ${Math.round(ms / 1000)} s: ${detail}`
    this.#finished.set(name, verdict)
    this.#write(line)
    return line
  }

  /** The last line, with the counts. */
  end(): string {
    const skipped = this.count('skipped')
    const line = `${this.count('passed')} passed, ${this.count('failed')} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
    this.#write(line)
    return line
  }

  #write(line: string): void {
    appendFileSync(this.file, `${line}\n`)
  }
}
