import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Readable, Writable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import type { OutputRecord } from '@stored/cli'

const BIN = fileURLToPath(new URL('../src/bin.ts', import.meta.url))
/** Stripping types takes longer than running most commands. */
const CACHE = fileURLToPath(new URL('../node_modules/.compile-cache', import.meta.url))

export interface RunOptions {
  readonly cwd: string
  readonly input?: string | Uint8Array
  readonly env?: Readonly<Record<string, string>>
  /** The user to run it as; only root can choose. @default the user who runs the tests */
  readonly uid?: number | undefined
}

export interface Ran {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export type Running = ChildProcessByStdio<Writable, Readable, Readable>

/** Starts the program as a shell would, without a terminal. */
export function start(args: readonly string[], { cwd, env = {}, uid }: Omit<RunOptions, 'input'>): Running {
  const { PATH = '', HOME = '' } = process.env
  return spawn(process.execPath, [BIN, ...args], {
    cwd,
    env: { PATH, HOME, NODE_COMPILE_CACHE: CACHE, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
    ...(uid !== undefined && { uid }),
  })
}

export async function run(args: readonly string[], options: RunOptions): Promise<Ran> {
  const child = start(args, options)
  child.stdin.on('error', () => {}) // It may end before it has read everything.
  child.stdin.end(options.input ?? '')
  return ended(child)
}

/** The output and exit code of a process that was started. */
export async function ended(child: Running): Promise<Ran> {
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  return { code: code as number | null, stdout, stderr }
}

/** The records of a run with `--json`; the last one is the summary. */
export function recordsOf({ stdout }: Pick<Ran, 'stdout'>): OutputRecord[] {
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as OutputRecord)
}
