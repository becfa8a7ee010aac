import { readFileSync, readlinkSync } from 'node:fs'

/**
 * Identifies a process uniquely. A pid alone is not enough: pids are reused, and each container with a PID namespace
 * has its own process 1.
 */
export interface ProcessIdentity {
  readonly pid: number
  /** Its PID namespace; empty if there are none or it cannot be seen. @see pid_namespaces(7) */
  readonly namespace: string
  /** When it started, in clock ticks since boot; empty if the system does not tell. @see proc_pid_stat(5), starttime */
  readonly start: string
}

/** The identity of this process. */
export const THIS_PROCESS: ProcessIdentity = {
  pid: process.pid,
  namespace: readNamespace(),
  start: readStart('self') ?? '',
}

/** Without /proc all PID namespaces look the same. */
const CANNOT_TELL = process.platform === 'linux' && THIS_PROCESS.namespace === ''

/**
 * Whether a process is alive. `unknown` if that cannot be seen from here: it is in another PID namespace, or has our
 * own pid.
 */
export function lifeOf({ pid, namespace, start }: ProcessIdentity): 'alive' | 'dead' | 'unknown' {
  if (namespace !== THIS_PROCESS.namespace || CANNOT_TELL) return 'unknown'
  if (pid !== process.pid && !hasPid(pid)) return 'dead'
  const now = start === '' ? undefined : readStart(pid)
  if (now !== undefined && now !== start) return 'dead'
  return pid === process.pid ? 'unknown' : 'alive'
}

function hasPid(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}

function readNamespace(): string {
  try {
    return /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? ''
  } catch {
    return ''
  }
}

function readStart(pid: number | 'self'): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The second field is a name in parentheses, which may contain anything; this is the 22nd.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}
