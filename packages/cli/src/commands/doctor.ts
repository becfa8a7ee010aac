import type { StoreStatus } from '@stored/core'
import type { LogEvent } from '@stored/core/backend'
import { sentenceOf } from '../backends/backend-log.ts'
import { probe } from '../backends/probe.ts'
import type { Check } from '../doctor/check.ts'
import { badChecks, tooFewCheck } from '../doctor/copy-checks.ts'
import { shortOfSpace } from '../doctor/disk-space.ts'
import { checkPermissions } from '../doctor/permission-check.ts'
import { EXIT, type ExitCode, exitCodeOf } from '../errors/exit-codes.ts'
import { describeFault } from '../errors/fault.ts'
import { bytes, count } from '../output/format.ts'
import { paint } from '../output/painted.ts'
import { type LoadedConfig, loadConfiguration } from '../session/configuration.ts'
import type { Context } from '../session/context.ts'
import { openConfigured } from '../session/open-session.ts'
import type { Outcome } from '../session/outcome.ts'
import { isStore } from '../session/store-directory.ts'

/** Lost bytes matter most: nothing else brings them back. */
const WORST_FIRST: readonly ExitCode[] = [EXIT.integrity, EXIT.general, EXIT.tooFew]
const COLORS = { ok: '32', warning: '33', failed: '31' } as const

export async function run(context: Context): Promise<Outcome> {
  const { out, signal } = context
  const counts = { ok: 0, warning: 0, failed: 0 }
  const exits = new Set<ExitCode>()
  for await (const { exit, ...check } of checks(context)) {
    signal.throwIfAborted()
    counts[check.result]++
    exits.add(exit ?? (check.result === 'failed' ? EXIT.general : EXIT.ok))
    const result = paint(COLORS[check.result], check.result.padEnd(7))
    await out.tell({ type: 'check', ...check }, result, `  ${check.check}: ${check.message}`)
  }
  return { exit: WORST_FIRST.find((exit) => exits.has(exit)) ?? EXIT.ok, summary: counts }
}

async function* checks(context: Context): AsyncGenerator<Check, void, void> {
  const loaded = await loadConfiguration(context)
  yield { check: 'configuration', result: 'ok', message: loaded.file ?? 'from the environment' }
  for (const message of loaded.warnings) yield { check: 'configuration', result: 'warning', message }
  // Before the store is opened: anyone who can access its files can keep it from opening.
  yield* checkPermissions(context, loaded.config)
  const { status, tooFew, opened } = await look(context, loaded)
  yield opened
  if (status) yield* statusChecks(status)
  if (status) yield* badChecks(status.backends)
  if (tooFew) yield tooFew
  yield* backendChecks(context, loaded, status)
}

interface Look {
  readonly opened: Check
  readonly status: StoreStatus | undefined
  readonly tooFew: Check | undefined
}

async function look({ signal }: Context, loaded: LoadedConfig): Promise<Look> {
  let status: StoreStatus | undefined
  let tooFew: Check | undefined
  const opened = await attempt('store', loaded.config.path, async () => {
    // Also before the store exists: a bad location is best reported early.
    const { resolveBackends } = await import('@stored/node/config')
    await resolveBackends(loaded.config)
    await using store = await openConfigured(loaded, { sync: false })
    status = await store.status()
    tooFew = await tooFewCheck(store, loaded.config.defaultBackends, signal)
  })
  return { status, tooFew, opened }
}

async function* backendChecks({ dryRun, signal }: Context, { config }: LoadedConfig, status: StoreStatus | undefined) {
  // A store that cannot be opened may remember a disk that is unplugged; do not create a new root in its place.
  const isKnown = status !== undefined || !(await isStore(config.path))
  for (const [name, backend] of Object.entries(config.backends)) {
    const check = `backend ${name}`
    if (dryRun) yield { check, result: 'ok', message: 'not tried' } as const
    else if (!isKnown)
      yield {
        check,
        result: 'warning',
        message: 'not tested: the store, which knows its medium, cannot be opened',
      } as const
    else {
      const others = mediumsOf(status)
      const medium = others.get(name)
      others.delete(name)
      const said: LogEvent[] = []
      const log = (event: LogEvent) => void said.push(event)
      yield await attempt(check, 'stored a blob, read it back and removed it', () =>
        probe(name, backend, { medium, others, log, signal }),
      )
      for (const event of said)
        if (event.level === 'warn') yield { check, result: 'warning', message: sentenceOf(event) } as const
    }
  }
}

/** The medium that the store remembers for each backend, by name. */
function mediumsOf(status: StoreStatus | undefined): Map<string, string> {
  const known = status?.backends ?? []
  return new Map(known.flatMap(({ name, medium }) => (medium === undefined ? [] : [[name, medium] as const])))
}

function statusChecks({ staging, degraded, disk, backends, detached, syncing }: StoreStatus): Check[] {
  const parked = backends.reduce((sum, { jobs }) => sum + jobs.parked, 0)
  const waiting = backends.reduce((sum, { jobs }) => sum + jobs.waiting + jobs.running, 0)
  const paused = backends.filter(({ state }) => state === 'paused').map(({ name }) => name)
  const found: Check[] = []
  const judge = (check: string, isWell: boolean, message: string) =>
    found.push({ check, result: isWell ? 'ok' : 'warning', message })
  if (degraded) found.push({ check: 'index', result: 'failed', message: degraded.message })
  found.push(diskCheck(disk))
  judge('staging', staging.excess === 0, `${bytes(staging.bytes)} of ${bytes(staging.limit)}`)
  judge('parked jobs', parked === 0, parked === 0 ? 'none' : `${count(parked, 'job')}; stored queue ls --state parked`)
  judge(
    'waiting jobs',
    waiting === 0 || syncing !== 'nowhere',
    waiting === 0
      ? 'none'
      : `${count(waiting, 'job')}; ${syncing === 'nowhere' ? 'no process syncs: stored sync --until-idle' : 'being synced'}`,
  )
  if (paused.length > 0) judge('paused', false, paused.join(', '))
  const names = Object.keys(detached)
  if (names.length > 0) judge('not configured', false, `${names.join(', ')}: jobs wait there; stored queue ls`)
  return found
}

function diskCheck(disk: StoreStatus['disk']): Check {
  const short = shortOfSpace(disk)
  if (short !== null) return { check: 'disk', result: 'failed', message: short }
  return { check: 'disk', result: 'ok', message: disk === null ? 'not known' : `${bytes(disk.free)} free` }
}

async function attempt(check: string, message: string, what: () => Promise<unknown>): Promise<Check> {
  try {
    await what()
    return { check, result: 'ok', message }
  } catch (error) {
    const { code, message } = describeFault(error)
    const isDamage = exitCodeOf(code) === EXIT.integrity
    return { check, result: 'failed', message, ...(isDamage && { exit: EXIT.integrity }) }
  }
}
