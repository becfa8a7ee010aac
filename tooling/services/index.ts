import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export { type Fauxqs, startFauxqs } from './fauxqs.ts'
export { BTRFS, EXFAT, EXT4, FAT, type Medium, type Mounted, mount, NTFS, XFS } from './media.ts'

/** Servers to test against; each has a script beside this file, which says what its settings and variables are. */
export type ServiceName = 'sshd' | 'ceph-rgw'

/** Of the scripts: the server cannot be had on this machine. */
const UNAVAILABLE = 69

/** A server of one's own. It is destroyed, with its data, by `Symbol.asyncDispose` or when this process ends, however it ends. */
export interface Service extends AsyncDisposable {
  /** Where it listens, and what it lets in. */
  readonly env: Readonly<Record<string, string>>
  /**
   * Ends the server and keeps its data. Resolves when it is gone: `start` leaves alone what still runs, and so what is only about to
   * end.
   *
   * @param signal What it is sent first. @default 'SIGTERM'
   * @param name Which of its processes, as its script calls them, where it has several. @default the one that clients speak to
   */
  stop(signal?: NodeJS.Signals, name?: string): Promise<void>
  /** Starts it again, at the same address. */
  start(): Promise<void>
}

/** Thrown where a server can be neither found nor installed; the message says why, and how to get it. */
export class ServiceUnavailable extends Error {}

/**
 * Starts a server on 127.0.0.1.
 *
 * @param settings Passed to its script as environment variables.
 * @throws {ServiceUnavailable}
 */
export async function startService(
  name: ServiceName,
  settings: Readonly<Record<string, string>> = {},
): Promise<Service> {
  const directory = await mkdtemp(join(tmpdir(), `stored-${name}-`))
  const child = run(name, ['hold', directory], settings)
  const ended = endOf(child)
  const complaints = collect(child)
  const env = await readVariables(child)
  if (env === null) throw failure(name, await ended, await complaints)
  // Neither the server nor its keeper keeps this process alive.
  child.unref()
  for (const stream of [child.stdin, child.stdout, child.stderr]) (stream as { unref?(): void } | null)?.unref?.()
  const script = async (...args: string[]): Promise<void> => {
    const call = run(name, args, settings)
    const [said, end] = await Promise.all([collect(call), endOf(call)])
    if (end !== 0) throw failure(name, end, said)
  }
  return {
    env,
    stop: (signal = 'SIGTERM', name = '') => script('stop', directory, signal.slice(3), name),
    start: () => script('start', directory),
    async [Symbol.asyncDispose]() {
      child.ref()
      child.stdin?.end()
      if (child.exitCode === null && child.signalCode === null) await ended
    },
  }
}

/**
 * Like `startService`, for tests that are skipped where the server cannot be had: `describe.skipIf(…)` with a title that holds the
 * reason. With REQUIRE_SERVICES=1 it throws instead, so that CI cannot pass by leaving them out.
 *
 * @returns The server, or why there is none.
 */
export async function offerService(
  name: ServiceName,
  settings: Readonly<Record<string, string>> = {},
): Promise<Service | string> {
  try {
    return await startService(name, settings)
  } catch (error) {
    if (error instanceof ServiceUnavailable && process.env.REQUIRE_SERVICES !== '1') return error.message
    throw error
  }
}

function run(name: ServiceName, args: readonly string[], settings: Readonly<Record<string, string>>): ChildProcess {
  const script = fileURLToPath(new URL(`${name}.sh`, import.meta.url))
  // Its standard input is the line of life: it ends with this process.
  return spawn('bash', [script, ...args], { env: { ...process.env, ...settings }, stdio: ['pipe', 'pipe', 'pipe'] })
}

/** @returns `null` when it ended before it was ready. */
async function readVariables({ stdout }: ChildProcess): Promise<Record<string, string> | null> {
  const env: Record<string, string> = {}
  for await (const line of createInterface({ input: stdout as NodeJS.ReadableStream })) {
    if (line === 'READY=1') return env
    const at = line.indexOf('=')
    env[line.slice(0, at)] = line.slice(at + 1)
  }
  return null
}

/** What it writes to standard error, at most its end. */
async function collect({ stderr }: ChildProcess): Promise<string> {
  let text = ''
  for await (const chunk of stderr ?? []) text = (text + String(chunk)).slice(-4_000)
  return text.trim()
}

/** @returns Its exit code, or why it could not be run. */
function endOf(child: ChildProcess): Promise<number | null | Error> {
  return once(child, 'close').then(
    ([code]) => code,
    (error: Error) => error,
  )
}

function failure(name: ServiceName, end: number | null | Error, said: string): Error {
  if (end instanceof Error) return new ServiceUnavailable(`${name}: ${end.message}`)
  if (end === UNAVAILABLE) return new ServiceUnavailable(said)
  return new Error(`${name}.sh ended with ${end}: ${said}`)
}
