import { randomInt, randomUUID } from 'node:crypto'
import { checkOptions, is, type RulesOf, unknownName } from '@stored/core/backend'
import { printable } from '@stored/core/printable'
import type { Case, Profile } from './case.ts'
import { cases } from './cases.ts'
import { CaseContext, type RunState, Skipped } from './context.ts'
import { expectationOf, nextTurn, started, within } from './expect.ts'
import type { Harness } from './harness.ts'
import { ProcessFaults } from './process-faults.ts'
import { label, makeReport, type Outcome, type Report, type Result, type RunFacts } from './report.ts'
import { untilAborted } from './slow.ts'
import type { View } from './subject.ts'

const PROFILES: readonly Profile[] = ['quick', 'full', 'soak']
const TIMEOUT_MS: Record<Profile, number> = { quick: 30_000, full: 300_000, soak: 3_600_000 }

/** Which cases are run, and how thoroughly. */
export interface RunOptions {
  /** @default 'quick' */
  profile?: Profile
  /** Ids of cases, or of groups: `['rt', 'cw.race']`. @default all */
  only?: readonly string[]
  /** Seeds every payload and random choice. @default a random one, which the report names */
  seed?: number
  /** Called as each case begins. Only for `runConformance`. */
  onBegin?: (begun: Begun) => void
  /** Called as each case ends. Only for `runConformance`. */
  onResult?: (result: Result) => void
  /** Ends the run: the running case is abandoned and cleaned up. Only for `runConformance`. */
  signal?: AbortSignal
}

/** A running case. */
export interface Begun {
  readonly id: string
  readonly view: View
  /** With its view, for people. */
  readonly label: string
  readonly title: string
}

const OPTIONS: RulesOf<RunOptions> = {
  profile: is.oneOf(PROFILES),
  only: is.names,
  seed: is.whole(Number.MIN_SAFE_INTEGER),
  onBegin: is.callback,
  onResult: is.callback,
  signal: is.signal,
}

/** A case in one of its views. */
export interface Planned {
  readonly case: Case
  readonly view: View
}

export interface Run {
  readonly planned: readonly Planned[]
  execute(planned: Planned): Promise<Result>
  readonly state: RunState
}

/**
 * Runs the cases one after another and reports each of them. A failed case does not end the run.
 *
 * @throws {StorageError} INVALID_ARGUMENT for an unknown profile, case or waiver. The reason of `signal`.
 */
export async function runConformance(harness: Harness, options: RunOptions = {}): Promise<Report> {
  const run = planRun(harness, options)
  const results: Result[] = []
  for (const planned of run.planned) {
    const about = { id: planned.case.id, view: planned.view }
    options.onBegin?.({ ...about, label: label(about), title: planned.case.title })
    const result = await run.execute(planned)
    options.signal?.throwIfAborted()
    results.push(result)
    options.onResult?.(result)
  }
  return makeReport(factsOf(harness, run.state), results)
}

/** @throws {StorageError} INVALID_ARGUMENT for an unknown profile, case or waiver. */
export function planRun(harness: Harness, options: RunOptions, from = cases): Run {
  const at = { op: 'conformance', backend: harness.name }
  checkOptions(options, OPTIONS, at)
  const { profile = 'quick', only, seed, signal } = options
  const names = [...new Set(from.flatMap(({ id, group }) => [group, id]))]
  for (const name of only ?? []) if (!names.includes(name)) throw unknownName('case', name, names, at)
  for (const name of Object.keys(harness.waive ?? {}))
    if (!from.some(({ id }) => id === name)) throw unknownName('case in waive', name, names, at)
  const state: RunState = {
    id: randomUUID().slice(0, 8),
    profile,
    seed: seed ?? randomInt(2 ** 31),
    tested: new Set(),
    capabilities: null,
    signal,
    complete: only === undefined,
    waived: new Map(),
  }
  const planned = from
    .filter(({ id, group }) => only === undefined || only.includes(id) || only.includes(group))
    .flatMap((subject) => subject.views.map((view) => ({ case: subject, view })))
  return { planned, state, execute: (plan) => execute(harness, state, plan) }
}

function factsOf({ name, version, server }: Harness, state: RunState): RunFacts {
  const { profile, complete, seed, capabilities } = state
  const named = { name, ...(version !== undefined && { version }), ...(server !== undefined && { server }) }
  return { ...named, profile, complete, seed, capabilities }
}

async function execute(harness: Harness, state: RunState, planned: Planned): Promise<Result> {
  const { id, level, profile, title, provokes } = planned.case
  const started = performance.now()
  const outcome = unlessNeedless(harness, state, planned, await judge(harness, state, planned))
  return {
    id,
    view: planned.view,
    level,
    profile,
    title,
    provokes,
    durationMs: performance.now() - started,
    ...outcome,
  }
}

/** Fails a waived case that passes in every view that ran: a waiver without a need hides the next failure. */
function unlessNeedless(
  harness: Harness,
  state: RunState,
  { case: subject, view }: Planned,
  outcome: Outcome,
): Outcome {
  const waiver = harness.waive?.[subject.id]
  if (waiver === undefined) return outcome
  const statuses = [...(state.waived.get(subject.id) ?? []), outcome.status]
  state.waived.set(subject.id, statuses)
  const isLast = view === subject.views.at(-1)
  if (!isLast || statuses.includes('waived') || !statuses.includes('proved')) return outcome
  const broken = `the case fails, as its waiver says, but it passes: ${waiver.reason} (${waiver.issue})`
  const message = `${label({ id: subject.id, view })}: ${subject.title}\n  expected ${broken}`
  return { status: 'failed', error: new Error(message), broken }
}

async function judge(harness: Harness, state: RunState, planned: Planned): Promise<Outcome> {
  const { case: subject, view } = planned
  if (PROFILES.indexOf(subject.profile) > PROFILES.indexOf(state.profile))
    return { status: 'skipped', reason: `profile ${subject.profile}` }
  try {
    return await tryCase(new CaseContext(harness, state, subject, view), subject)
  } catch (cause) {
    const error = new Error(explain(state, planned, cause), { cause })
    const waiver = harness.waive?.[subject.id]
    return waiver ? { status: 'waived', waiver, error } : { status: 'failed', error, broken: expectationOf(cause) }
  }
}

/** @throws The error that shows that the case failed. */
async function tryCase(t: CaseContext, subject: Case): Promise<Outcome> {
  using faults = new ProcessFaults()
  const reason = await runCase(t, subject)
  // Node reports an unhandled rejection only after the microtasks of its turn have run.
  await nextTurn()
  if (reason !== null) return { status: 'skipped', reason }
  faults.throwIfAny()
  return { status: 'proved', refused: [...t.refusals].sort() }
}

/** @returns Why the case was skipped, or `null` if it passed. */
async function runCase(t: CaseContext, subject: Case): Promise<string | null> {
  try {
    await within(t.prepare(), TIMEOUT_MS.quick, 'open')
    const answer = subject.needs(t.capabilities, t.harness, t.view)
    if (answer !== true) return answer
    for (const capability of subject.proves) t.run.tested.add(capability)
    const ended = unlessAborted(started(subject.run(t)), t.run.signal)
    await within(ended, subject.timeoutMs ?? TIMEOUT_MS[subject.profile], () => caseWaitingFor(t.pending))
    return null
  } catch (error) {
    if (error instanceof Skipped) return error.message
    throw error
  } finally {
    t.expire()
    await t.dispose()
  }
}

function caseWaitingFor(calls: ReadonlySet<string>): string {
  return calls.size === 0 ? 'the whole case' : `the whole case, which waits for ${[...calls].join(', ')},`
}

async function unlessAborted(run: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  if (signal === undefined) return run
  const waiting = new AbortController()
  try {
    await Promise.race([run, untilAborted(AbortSignal.any([signal, waiting.signal]))])
  } finally {
    waiting.abort()
  }
}

function explain({ seed }: RunState, { case: subject, view }: Planned, cause: unknown): string {
  return [
    `${label({ id: subject.id, view })}: ${subject.title}`,
    `  expected ${printable(expectationOf(cause))}`,
    `  why      ${subject.why}`,
    ...(subject.declare ? [`  declare  ${subject.declare}, if the limit is real`] : []),
    `  again    { only: ['${subject.id}'], profile: '${subject.profile}', seed: ${seed} }`,
  ].join('\n')
}
