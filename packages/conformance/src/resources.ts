import { readdirSync } from 'node:fs'
import { sleep } from './slow.ts'

/** How long what is being closed may take to be gone. */
const KEPT_MS = 5_000
const LOOKS = 10
const LOOK_MS = 30

/** Open files and sockets of this process; elsewhere than on Linux, the resources that keep its event loop alive. */
export function openFiles(): number {
  if (process.platform !== 'linux') return process.getActiveResourcesInfo().length
  return readdirSync('/proc/self/fd').length
}

/** What keeps the process now and was not among `before`, by its kind: `TCPSocketWrap`, `Timeout`. */
export function keptSince(before: readonly string[]): string[] {
  const left = [...before]
  return keeping().filter((kind) => {
    const at = left.indexOf(kind)
    if (at >= 0) left.splice(at, 1)
    return at < 0
  })
}

/**
 * What keeps the process all the time, by its kind: what comes and goes, such as the timers of a test runner, may be in the way when
 * it is compared with later.
 */
export async function keepingThroughout(signal: AbortSignal): Promise<string[]> {
  // Not at once: the timer over a case is set only when it first waits.
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

/** What keeps the process now. What is over with this turn of its event loop is left out. */
function keeping(): string[] {
  return process.getActiveResourcesInfo().filter((kind) => kind !== 'Immediate')
}

/**
 * Ends this process if something that a driver left open still keeps it in a while, and says what: it would hang, and whoever waits
 * for it would learn of no failure.
 *
 * @param o.ms How long a while is.
 * @param o.failures What else to say then: a test runner may tell of them only at its end.
 */
export function endIfKept({ ms = KEPT_MS, failures = [] }: { ms?: number; failures?: readonly string[] } = {}): void {
  const end = () => {
    const kept = `the process would not end, since a driver left open: ${keeping().join(', ')}`
    process.stderr.write([...failures, kept, ''].join('\n'))
    process.exit(1)
  }
  setTimeout(end, ms).unref()
}
