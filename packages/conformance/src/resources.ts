import { readdirSync } from 'node:fs'
import { sleep } from './slow.ts'

/** How long closing resources may take to disappear. */
const KEPT_MS = 5_000
const LOOKS = 10
const LOOK_MS = 30

/**
 * Open files and sockets of this process; on systems other than Linux, the resources that keep its event loop alive.
 */
export function openFiles(): number {
  if (process.platform !== 'linux') return process.getActiveResourcesInfo().length
  return readdirSync('/proc/self/fd').length
}

/** What keeps the process alive now and is not in `before`, by kind: `TCPSocketWrap`, `Timeout`. */
export function keptSince(before: readonly string[]): string[] {
  const left = [...before]
  return keeping().filter((kind) => {
    const at = left.indexOf(kind)
    if (at >= 0) left.splice(at, 1)
    return at < 0
  })
}

/**
 * What keeps the process alive all the time, by kind. Things that come and go, such as a test runner's timers, would
 * disturb a later comparison.
 */
export async function keepingThroughout(signal: AbortSignal): Promise<string[]> {
  // Not at once: the timer for a case is set only when it first waits.
  await sleep(LOOK_MS, signal)
  let always = keeping()
  for (let look = 0; look < LOOKS; look++) {
    await sleep(LOOK_MS, signal)
    const now = keeping()
    always = always.filter((kind) => {
      const at = now.indexOf(kind)
      if (at >= 0) now.splice(at, 1)
      return at >= 0
    })
  }
  return always
}

/** What keeps the process alive now, except what ends with this turn of its event loop. */
function keeping(): string[] {
  return process.getActiveResourcesInfo().filter((kind) => kind !== 'Immediate')
}

/**
 * Ends this process if something that a driver left open still keeps it alive after a while, and names it. Otherwise it
 * would hang, and its failures would go unreported.
 *
 * @param o.ms How long to wait.
 * @param o.failures Failures to report as well: a test runner may print them only at its end.
 */
export function endIfKept({ ms = KEPT_MS, failures = [] }: { ms?: number; failures?: readonly string[] } = {}): void {
  const end = () => {
    const kept = `the process would not end, since a driver left open: ${keeping().join(', ')}`
    process.stderr.write([...failures, kept, ''].join('\n'))
    process.exit(1)
  }
  setTimeout(end, ms).unref()
}
