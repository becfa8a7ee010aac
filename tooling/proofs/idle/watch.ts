import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'

/** What a process did while idle. */
export interface Activity {
  /** Of all its threads, voluntary and involuntary. */
  readonly contextSwitches: number
  /** Completed calls, as strace prints them; `null` if it is not permitted. */
  readonly systemCalls: readonly string[] | null
}

/** Watches one process with all its threads. */
export class Watch {
  readonly #pid: number
  readonly #trace: Trace | null
  readonly #start: ReadonlyMap<string, number>
  readonly #from = Date.now()

  constructor(pid: number, trace: Trace | null) {
    this.#pid = pid
    this.#trace = trace
    this.#start = contextSwitches(pid)
  }

  async end(): Promise<Activity> {
    const until = Date.now()
    let switches = 0
    for (const [thread, count] of contextSwitches(this.#pid)) switches += count - (this.#start.get(thread) ?? 0)
    return { contextSwitches: switches, systemCalls: (await this.#trace?.end(this.#from, until)) ?? null }
  }
}

/** By thread. */
function contextSwitches(pid: number): Map<string, number> {
  const tasks = `/proc/${pid}/task`
  return new Map(
    readdirSync(tasks).map((thread) => {
      const status = readFileSync(`${tasks}/${thread}/status`, 'utf8')
      const counts = [...status.matchAll(/ctxt_switches:\s+(\d+)$/gm)].map(([, count]) => Number(count))
      if (counts.length !== 2) throw new Error(`${tasks}/${thread}/status tells no context switches`)
      return [thread, counts.reduce((sum, count) => sum + count)]
    }),
  )
}

/** Another process under strace. */
export class Trace {
  readonly #file: string
  readonly #stop: () => Promise<void>

  /** @returns `null`: strace is not installed, or not permitted. */
  static async attach(pid: number, file: string): Promise<Trace | null> {
    const strace = spawn('strace', ['-f', '-ttt', '-o', file, '-p', String(pid)], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    const ended = new Promise<void>((resolve) => strace.once('close', () => resolve()).once('error', () => resolve()))
    const isAttached = await Promise.race([once(strace.stderr, 'data').then(String), ended.then(() => '')])
    if (!isAttached.includes('attached')) return null
    return new Trace(file, async () => {
      strace.kill('SIGINT')
      await ended
    })
  }

  private constructor(file: string, stop: () => Promise<void>) {
    this.#file = file
    this.#stop = stop
  }

  /** @returns The calls that ended between two times, in milliseconds since the epoch. */
  async end(from: number, until: number): Promise<string[]> {
    await this.#stop()
    const lines = readFileSync(this.#file, 'utf8').split('\n')
    return lines.filter((line) => {
      const time = 1000 * Number(line.split(/\s+/)[1])
      return time >= from && time <= until && !/<(unfinished|detached) \.\.\.>$/.test(line)
    })
  }
}
