import path from 'node:path'
import type { StoreConfig, WrongMode } from '@stored/node'
import { describeFault } from '../errors/fault.ts'
import { count } from '../output/format.ts'
import type { Context } from '../session/context.ts'
import type { Check } from './check.ts'

/** How many files are named: a full staging area may hold thousands. */
const NAMED = 3

interface Found {
  readonly named: string[]
  count: number
}

/** Checks that exactly the intended users can access the store's files; `--fix` changes their modes. */
export async function* checkPermissions(
  { input, dryRun, signal }: Context,
  config: StoreConfig,
): AsyncGenerator<Check> {
  if (process.platform === 'win32') return
  const { wrongModes } = await import('@stored/node')
  const fix = input.has('fix') && !dryRun
  const found = { open: none(), closed: none(), failed: none() }
  for await (const one of wrongModes(config, { fix, signal })) {
    if (one.error !== undefined) add(found.failed, one, `: ${describeFault(one.error).message}`)
    else add(one.isOpen ? found.open : found.closed, one)
  }
  const check = 'permissions'
  const done = fix ? 'changed: ' : ''
  const mend = fix ? '' : '; stored doctor --fix'
  const result = fix ? 'ok' : 'warning'
  if (found.open.count > 0) yield { check, result, message: `${done}others can access ${list(found.open)}${mend}` }
  if (found.closed.count > 0)
    yield { check, result, message: `${done}the group cannot access ${list(found.closed)}${mend}` }
  if (found.failed.count > 0) yield { check, result: 'failed', message: `cannot be changed: ${list(found.failed)}` }
  if (Object.values(found).some(({ count }) => count > 0)) return
  yield { check, result: 'ok', message: config.mode === '0770' ? 'for the owner and the group' : 'for the owner only' }
}

function none(): Found {
  return { named: [], count: 0 }
}

function add(found: Found, { path: file, mode, expected }: WrongMode, more = ''): void {
  found.count++
  if (found.named.length < NAMED)
    found.named.push(`${path.basename(file)} (${octal(mode)}, not ${octal(expected)})${more}`)
}

function list({ named, count: all }: Found): string {
  const rest = all - named.length
  return `${named.join(', ')}${rest > 0 ? ` and ${count(rest, 'more file')}` : ''}`
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, '0')
}
