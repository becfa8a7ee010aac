import { type ChildProcess, execFileSync, fork } from 'node:child_process'
import { mkdirSync, rmSync, statfsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type FlushCount, FlushCounter, type FlushDelay } from './flushes.ts'
import { bytesRead, bytesWritten, MemoryWatch } from './procfs.ts'
import type { Command, Figures, Params, Report } from './side.ts'
import { packagesOf, type Tree } from './tree.ts'

/** When to give up space all the same, in bytes. */
const LITTLE_SPACE = 20 * 2 ** 30
const SUBJECT = fileURLToPath(new URL('subject.ts', import.meta.url))

/** How one contestant is measured. */
export interface Contestant {
  /** As the table calls it. */
  readonly name: string
  /** Of `Bench.sides`. */
  readonly side: string
  readonly params?: Params
  readonly threads?: number
  readonly delay?: FlushDelay
  /** What to use instead of an empty directory: prepared beforehand, and left as it is. */
  readonly directory?: string
  /** End the process with SIGKILL as soon as it is measured. */
  readonly kill?: boolean
  /** Prepares the directory, each time. */
  readonly before?: (directory: string) => Promise<unknown>
  /** It does not run StoreD: where two trees are compared it is left out, and has no samples. */
  readonly isForeign?: boolean
  /** Looks at what the process left behind; throws when that is wrong. */
  readonly check?: (directory: string) => Promise<unknown>
}

export interface Sample {
  readonly count: number
  readonly seconds: number
  /** Seconds that all threads of the process worked: on a busy machine steadier than how long it took. */
  readonly processor: number
  /** What the side measured itself. */
  readonly figures: Figures
  /** `null` without a C compiler. */
  readonly flushes: FlushCount | null
  /** Highest memory of its own while measured, above that at the start, in bytes; `null` without procfs. */
  readonly memory: number | null
  /** In bytes; `null` without procfs. */
  readonly bytesRead: number | null
  readonly bytesWritten: number | null
}

export interface LabOptions {
  readonly bench: string
  /** An empty directory. */
  readonly directory: string
  readonly rounds: number
  /** Multiplies counts and sizes. */
  readonly scale: number
  readonly onProgress: (text: string) => void
  /** Whose packages the sides run, where two trees are compared. @default those of this tree, which has the machine for itself */
  readonly tree?: Tree
}

/** Runs contestants in turns, each time in a fresh process, and in a fresh directory unless told otherwise. */
export class Lab {
  readonly #options: LabOptions
  readonly #counter: FlushCounter | string
  #directories = 0
  /**
   * Removed with the bench, not after each turn: without a journal ext4 searches past inodes that were freed lately, and the
   * next contestant would pay for the files of the last (measured: 500 instead of 30 µs to create one).
   */
  readonly #used: string[] = []

  constructor(options: LabOptions) {
    this.#options = options
    this.#counter = FlushCounter.build(options.directory)
  }

  /** Why flushes can be neither counted nor delayed; `null` when they can. */
  get noFlushes(): string | null {
    return typeof this.#counter === 'string' ? this.#counter : null
  }

  /** `full`, scaled, but at least `least`. */
  scaled(full: number, least = 1): number {
    return Math.max(least, Math.round(full * this.#options.scale))
  }

  /** How many there will be. */
  rounds(least = 1): number {
    return Math.max(least, this.#options.rounds)
  }

  makeDirectory(): string {
    const directory = join(this.#options.directory, String(this.#directories++))
    mkdirSync(directory)
    return directory
  }

  /** Runs a side once, which prepares something for others. @returns What it measured, if anything. */
  async prepare(side: string, directory: string, params: Params = {}): Promise<Sample | null> {
    return this.#inTurn(`preparing: ${side}`, () => this.#run({ name: side, side, params }, directory))
  }

  /** Rounds of all contestants, each beginning with another one. @returns Their samples, in the order given. */
  async compete(contestants: readonly Contestant[], leastRounds = 1): Promise<Sample[][]> {
    const samples: Sample[][] = contestants.map(() => [])
    const rounds = this.rounds(leastRounds)
    for (let round = 0; round < rounds; round++) {
      for (let turn = 0; turn < contestants.length; turn++) {
        const i = (round + turn) % contestants.length
        const contestant = contestants[i] as Contestant
        if (contestant.isForeign && this.#options.tree) continue
        samples[i]?.push(await this.#measure(contestant, `round ${round + 1} of ${rounds}: ${contestant.name}`))
      }
    }
    return samples
  }

  async #measure(contestant: Contestant, progress: string): Promise<Sample> {
    const directory = contestant.directory ?? this.makeDirectory()
    await contestant.before?.(directory)
    try {
      const sample = await this.#inTurn(progress, () => {
        // What one contestant left in the page cache must not be written at the expense of the next.
        execFileSync('sync')
        return this.#run(contestant, directory)
      })
      if (!sample) throw new Error(`${contestant.name} measured nothing`)
      await contestant.check?.(directory)
      return sample
    } finally {
      if (contestant.directory === undefined) this.#used.push(directory)
      if (isFillingUp(directory)) this.#removeUsed()
    }
  }

  /** One process at a time: that of the other tree comes between any two of this one. */
  #inTurn<T>(progress: string, run: () => Promise<T>): Promise<T> {
    const { tree, onProgress } = this.#options
    const told = () => {
      onProgress(progress)
      return run()
    }
    return tree ? tree.turns.take(told) : told()
  }

  #removeUsed(): void {
    for (const directory of this.#used.splice(0)) rmSync(directory, { recursive: true })
  }

  async #run(contestant: Contestant, directory: string): Promise<Sample | null> {
    const { side, params = {}, threads, delay, kill = false } = contestant
    if (delay && this.noFlushes !== null) throw new Error(`flushes cannot be delayed: ${this.noFlushes}`)
    const { bench, tree } = this.#options
    const { env, execArgv } = packagesOf(tree)
    const child = fork(SUBJECT, [bench, side, directory, JSON.stringify(params)], {
      execArgv,
      env: {
        ...process.env,
        ...env,
        ...(threads !== undefined && { UV_THREADPOOL_SIZE: String(threads) }),
        ...(typeof this.#counter !== 'string' && this.#counter.environment(delay)),
      },
    })
    return this.#watch(child, contestant.name, kill)
  }

  #watch(child: ChildProcess, name: string, kill: boolean): Promise<Sample | null> {
    return new Promise((resolve, reject) => {
      let measuring: Measuring | undefined
      let sample: Sample | null = null
      child.on('message', (report: Report) => {
        if (report.type === 'ready') {
          measuring = new Measuring(child, this.#counter)
          return child.send('go' satisfies Command)
        }
        sample = (measuring as Measuring).end(report)
        if (kill) child.kill('SIGKILL')
        else child.send('end' satisfies Command)
      })
      child.on('error', reject)
      child.on('exit', (code, signal) => {
        measuring?.cancel()
        if (code === 0 || (kill && sample && signal === 'SIGKILL')) resolve(sample)
        else reject(new Error(`${name} ended with ${signal ?? `code ${code}`}`))
      })
    })
  }
}

/** What is watched from outside between `start` and `stop` of one child. */
class Measuring {
  readonly #pid: number
  readonly #counter: FlushCounter | null
  readonly #memory: MemoryWatch
  readonly #flushes: FlushCount | null
  readonly #bytesRead: number | null
  readonly #bytesWritten: number | null

  constructor(child: ChildProcess, counter: FlushCounter | string) {
    this.#pid = child.pid as number
    this.#counter = typeof counter === 'string' ? null : counter
    this.#memory = new MemoryWatch(this.#pid)
    this.#flushes = this.#counter?.read() ?? null
    this.#bytesRead = bytesRead(this.#pid)
    this.#bytesWritten = bytesWritten(this.#pid)
  }

  end({ count, seconds, processor, figures }: Extract<Report, { type: 'done' }>): Sample {
    const peak = this.#memory.end()
    const read = bytesRead(this.#pid)
    const written = bytesWritten(this.#pid)
    const now = this.#counter?.read()
    return {
      count,
      seconds,
      processor,
      figures,
      memory: peak === null || this.#memory.start === null ? null : peak - this.#memory.start,
      bytesRead: read === null || this.#bytesRead === null ? null : read - this.#bytesRead,
      bytesWritten: written === null || this.#bytesWritten === null ? null : written - this.#bytesWritten,
      flushes:
        now && this.#flushes
          ? {
              flushes: now.flushes - this.#flushes.flushes,
              dsyncWrites: now.dsyncWrites - this.#flushes.dsyncWrites,
            }
          : null,
    }
  }

  cancel(): void {
    this.#memory.end()
  }
}

function isFillingUp(directory: string): boolean {
  const { bavail, bsize } = statfsSync(directory)
  return bavail * bsize < LITTLE_SPACE
}
