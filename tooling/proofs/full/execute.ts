import { spawn } from 'node:child_process'
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Verdict } from './log.ts'
import type { Part } from './stages.ts'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
/** Printed by a task that could not do all or part of its work. @see tooling/followers/reports/run.ts */
const SKIPPED = /^skipped: .*|^\S+: not run: .*/m

/**
 * Runs a part in separate processes and writes their output to a file.
 *
 * @param signal Ends all of them.
 * @returns How it ended, and why, if there is more to say.
 */
export async function execute(
  { args, env, minutes }: Pick<Part, 'args' | 'env' | 'minutes'>,
  output: string,
  signal: AbortSignal,
): Promise<{ readonly verdict: Verdict; readonly reason?: string }> {
  mkdirSync(dirname(output), { recursive: true })
  const file = openSync(output, 'w')
  // In its own process group, so that nothing of it outlives its time.
  const child = spawn(process.execPath, ['tooling/run.mjs', ...args], {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdio: ['ignore', file, file],
    detached: true,
  })
  closeSync(file)
  const tooLong = AbortSignal.timeout(minutes * 60_000)
  const ending = AbortSignal.any([signal, tooLong])
  const end = () => child.pid !== undefined && process.kill(-child.pid, 'SIGTERM')
  ending.addEventListener('abort', end)
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', resolve)
  }).finally(() => ending.removeEventListener('abort', end))
  signal.throwIfAborted()
  if (tooLong.aborted) return { verdict: 'failed', reason: `not done in ${minutes} min` }
  if (code !== 0) return { verdict: 'failed', reason: `code ${code}` }
  return verdictOn(readFileSync(output, 'utf8'))
}

/** For a task that succeeded. If it left something out, that is not proved. */
export function verdictOn(output: string): { readonly verdict: Verdict; readonly reason?: string } {
  const [reason] = SKIPPED.exec(output) ?? []
  return reason === undefined ? { verdict: 'passed' } : { verdict: 'skipped', reason }
}
