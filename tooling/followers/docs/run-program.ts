import { spawn } from 'node:child_process'
import { once } from 'node:events'

const TIMEOUT_MS = 90_000

export interface ProgramOptions {
  readonly cwd: string
  readonly env?: NodeJS.ProcessEnv
}

/** Runs a program to its end, and ends what it left running. @returns Its stderr, or `null` if it succeeded. */
export async function runProgram(
  command: string,
  args: readonly string[],
  { cwd, env = process.env }: ProgramOptions,
): Promise<string | null> {
  const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'ignore', 'pipe'], detached: true })
  const timer = setTimeout(() => endGroup(child.pid), TIMEOUT_MS)
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  const closed = once(child, 'close')
  const [status, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null]
  clearTimeout(timer)
  endGroup(child.pid)
  await closed
  return status === 0 ? null : said.trim() || `ended by ${signal ?? `status ${status}`}`
}

/** Ends the program and its children: a background server would keep its stderr open forever. */
function endGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL')
  } catch {
    // No process of it is left.
  }
}
