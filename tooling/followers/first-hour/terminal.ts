import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'

const COLUMNS = 160
const ROWS = 60
const LOOK_MS = 50
/** No command of a guide takes longer. */
const PATIENCE_MS = 120_000

export function hasTmux(): boolean {
  return spawnSync('tmux', ['-V']).status === 0
}

/** A shell in a real terminal, as a person has it: tmux renders the output and is asked for the screen. */
export class Terminal implements Disposable {
  readonly #socket: string
  readonly #raw: string
  /** The number in the current prompt; bash counts commands, and not empty lines. */
  #number = 1

  /** @param scratch For the terminal's own files. @param path Directories of programs, before those of the system. */
  constructor(directory: string, scratch: string, path: string) {
    this.#socket = join(scratch, 'tmux')
    this.#raw = join(scratch, 'raw')
    const variables = [`PATH=${path}:${process.env.PATH}`, `HOME=${directory}`, 'PS1=<\\#> ', 'LC_ALL=C.UTF-8']
    const shell = ['env', '-u', 'CI', ...variables, 'bash', '--norc', '--noprofile']
    const size = ['-x', String(COLUMNS), '-y', String(ROWS)]
    this.#tmux('-f', '/dev/null', 'new-session', '-d', ...size, '-c', directory, '-s', 'first-hour', ...shell)
    this.#tmux('pipe-pane', '-o', `cat >> '${this.#raw}'`)
  }

  /** Types a command, and waits for the next prompt. @returns What the terminal shows in between. */
  async run(command: string): Promise<string[]> {
    await this.#lines()
    this.#tmux('send-keys', '-R')
    this.#tmux('clear-history')
    this.#tmux('send-keys', '-l', command)
    this.#tmux('send-keys', 'Enter')
    this.#number++
    // The first line is the rest of the previous prompt, and the command.
    return (await this.#lines()).slice(1)
  }

  /** Everything written to the terminal, including control sequences. */
  get raw(): string {
    return readFileSync(this.#raw, 'utf8')
  }

  [Symbol.dispose](): void {
    spawnSync('tmux', ['-S', this.#socket, 'kill-server'])
  }

  /** What is shown above the prompt, once it has appeared. */
  async #lines(): Promise<string[]> {
    const prompt = `<${this.#number}>`
    const end = performance.now() + PATIENCE_MS
    for (;;) {
      const lines = this.#tmux('capture-pane', '-p', '-J', '-S', '-').trimEnd().split('\n')
      const shown = lines.map((line) => line.trimEnd())
      if (shown.at(-1) === prompt) return shown.slice(0, -1)
      if (performance.now() > end)
        throw new Error(`no prompt ${prompt} after ${PATIENCE_MS} ms, but:\n${shown.join('\n')}`)
      await setTimeout(LOOK_MS)
    }
  }

  #tmux(...args: string[]): string {
    const { status, stdout, stderr, error } = spawnSync('tmux', ['-S', this.#socket, ...args], { encoding: 'utf8' })
    if (status !== 0) throw new Error(`tmux ${args[0]}: ${error ?? stderr}`)
    return stdout
  }
}
