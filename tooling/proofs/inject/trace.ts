import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { MESSAGES_FD, type Message, type Outcome } from './protocol.ts'

const VICTIM = fileURLToPath(new URL('victim.ts', import.meta.url))
/** Longer than any wait of the victim. */
const HANG_MS = 20_000

/** The `nth` call of one of `calls`, in each thread, fails with `error`. */
export interface Fault {
  readonly calls: string
  readonly error: string
  readonly nth: number
}

export interface Run {
  readonly outcomes: readonly Outcome[]
  /** What went wrong with the process itself. */
  readonly violations: readonly string[]
  /** For each system call, which of a thread's calls were for files below the directory of the run, counted from 1. */
  readonly ordinals: ReadonlyMap<string, ReadonlySet<number>>
  /** Whether one of those failed. */
  readonly hit: boolean
  /**
   * Whether the process ended because LMDB itself could not open its files: lmdb-js 3.5.6 then uses memory that it has
   * freed.
   */
  readonly endedInOpen: boolean
  /** Whether a call failed on something else, such as waking a thread, which no program survives. */
  readonly hitOthers: boolean
}

/** Runs a victim whose calls are traced, and made to fail, once its store is open. */
export async function runVictim(directory: string, calls: string, fault?: Fault): Promise<Run> {
  const log = join(directory, 'strace')
  const victim = spawn(process.execPath, [VICTIM, directory], {
    stdio: ['pipe', 'ignore', 'pipe', 'pipe'],
    // One thread for files, so that the calls of a run come in the same order each time.
    env: { ...process.env, UV_THREADPOOL_SIZE: '1', NODE_DISABLE_COMPILE_CACHE: '1' },
  })
  const ended = once(victim, 'close') as Promise<[number | null, string | null]>
  const messages: Message[] = []
  const ready = Promise.withResolvers<void>()
  createInterface({ input: victim.stdio[MESSAGES_FD] as Readable }).on('line', (line) => {
    const message = JSON.parse(line) as Message
    messages.push(message)
    if (message.type === 'ready') ready.resolve()
  })
  let stderr = ''
  victim.stderr?.on('data', (chunk) => {
    stderr += chunk
  })
  await Promise.race([ready.promise, ended.then(() => Promise.reject(new Error(`no store was opened: ${stderr}`)))])
  const tracer = await attach(victim, log, calls, fault)
  victim.stdin?.end('go\n')
  const hang = setTimeout(() => victim.kill('SIGKILL'), HANG_MS)
  const [code, signal] = await ended
  clearTimeout(hang)
  await tracer.ended
  const violations = messages.flatMap((message) => (message.type === 'unhandled' ? [`unhandled ${message.error}`] : []))
  const lines = readFileSync(log, 'utf8').split('\n')
  const injected = lines.filter((line) => line.includes('(INJECTED)'))
  const endedInOpen = signal === 'SIGSEGV' && injected.some((line) => line.includes('open') && line.includes('.mdb'))
  if (endedInOpen) return { outcomes: [], violations, ordinals: new Map(), hit: true, hitOthers: false, endedInOpen }
  if (signal === 'SIGKILL') violations.push('it hangs')
  else if (code !== 0) violations.push(`it ended with ${signal ?? `code ${code}`}: ${stderr.slice(-300)}`)
  const done = messages.find((message) => message.type === 'done')
  return {
    outcomes: done?.outcomes ?? [],
    violations,
    ordinals: countCalls(lines, directory),
    hit: injected.some((line) => line.includes(directory)),
    hitOthers: injected.some((line) => !line.includes(directory)),
    endedInOpen,
  }
}

function countCalls(lines: readonly string[], directory: string): Map<string, Set<number>> {
  const ordinals = new Map<string, Set<number>>()
  const counts = new Map<string, number>()
  for (const line of lines) {
    const [, thread, name = ''] = /^(\d+) +(\w+)\(/.exec(line) ?? []
    if (thread === undefined) continue
    const count = (counts.get(`${thread} ${name}`) ?? 0) + 1
    counts.set(`${thread} ${name}`, count)
    if (!line.includes(directory)) continue
    ordinals.set(name, (ordinals.get(name) ?? new Set()).add(count))
  }
  return ordinals
}

/** Resolves once the process is traced. */
async function attach(
  victim: ChildProcess,
  log: string,
  calls: string,
  fault?: Fault,
): Promise<{ ended: Promise<unknown> }> {
  const injection = fault ? ['-e', `inject=${fault.calls}:error=${fault.error}:when=${fault.nth}`] : []
  // -y: with the path of each descriptor.
  const options = ['-f', '-y', '-s', '0', '-o', log, '-e', `trace=${calls}`, ...injection, '-p', String(victim.pid)]
  const strace = spawn('strace', options, { stdio: ['ignore', 'ignore', 'pipe'] })
  const ended = once(strace, 'close')
  let said = ''
  for await (const chunk of (strace.stderr as Readable).iterator({ destroyOnReturn: false })) {
    said += chunk
    if (/attached/.test(said)) break
  }
  if (!/attached/.test(said)) throw new Error(`strace cannot trace: ${said.trim()}`)
  strace.stderr?.resume()
  return { ended }
}
