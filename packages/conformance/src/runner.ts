import { randomInt, randomUUID } from 'node:crypto'
import { StorageError, unknownName } from '@stored/core/backend'
import type { Case, Profile } from './case.ts'
import { cases } from './cases.ts'
import { CaseContext, type RunState, Skipped } from './context.ts'
import { nextTurn, printError, within } from './expect.ts'
import type { Harness } from './harness.ts'
import { ProcessFaults } from './process-faults.ts'
import { label, makeReport, type Outcome, type Report, type Result } from './report.ts'
import type { View } from './subject.ts'

const PROFILES: readonly Profile[] = ['quick', 'full', 'soak']
const TIMEOUT_MS: Record<Profile, number> = { quick: 30_000, full: 300_000, soak: 3_600_000 }

export interface RunOptions {
  /** @default 'quick' */
  profile?: Profile
  /** Ids of cases, or of groups: `['rt', 'cw.race']`. @default all */
  only?: readonly string[]
  /** Of every payload and random choice. @default a random one, which the report names */
  seed?: number
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

/** Runs the cases one after another and reports each of them. A failed case does not end the run. */
export async function runConformance(harness: Harness, options: RunOptions = {}): Promise<Report> {
  const run = planRun(harness, options)
  const results: Result[] = []
  for (const planned of run.planned) results.push(await run.execute(planned))
  return makeReport({ name: harness.name, ...run.state }, results)
}

/** @throws {StorageError} INVALID_ARGUMENT for an unknown profile, case or waiver. */
export function planRun(harness: Harness, { profile = 'quick', only, seed }: RunOptions, from = cases): Run {
  const at = { op: 'conformance', backend: harness.name }
  if (!PROFILES.includes(profile)) throw unknownName('profile', profile, PROFILES, at)
  const names = [...new Set(from.flatMap(({ id, group }) => [group, id]))]
  for (const name of only ?? []) if (!names.includes(name)) throw unknownName('case', name, names, at)
  for (const name of Object.keys(harness.waive ?? {}))
    if (!from.some(({ id }) => id === name)) throw unknownName('case in waive', name, names, at)
  if (seed !== undefined && !Number.isSafeInteger(seed))
    throw new StorageError('INVALID_ARGUMENT', at, { detail: 'seed is an integer' })
  const state: RunState = {
    id: randomUUID().slice(0, 8),
    profile,
    seed: seed ?? randomInt(2 ** 31),
    tested: new Set(),
    refused: new Set(),
    complete: only === undefined,
  }
  const planned = from
    .filter(({ id, group }) => only === undefined || only.includes(id) || only.includes(group))
    .flatMap((subject) => subject.views.map((view) => ({ case: subject, view })))
  return { planned, state, execute: (plan) => execute(harness, state, plan) }
}

async function execute(harness: Harness, state: RunState, planned: Planned): Promise<Result> {
  const { id, level, title } = planned.case
  const started = performance.now()
  const outcome = await judge(harness, state, planned)
  return { id, view: planned.view, level, title, durationMs: performance.now() - started, ...outcome }
}

async function judge(harness: Harness, state: RunState, planned: Planned): Promise<Outcome> {
  const { case: subject, view } = planned
  if (PROFILES.indexOf(subject.profile) > PROFILES.indexOf(state.profile))
    return { status: 'skipped', reason: `profile ${subject.profile}` }
  try {
    const skipped = await tryCase(harness, state, subject, view)
    if (skipped !== null) return { status: 'skipped', reason: skipped }
  } catch (cause) {
    const error = new Error(explain(state, planned, cause), { cause })
    const waiver = harness.waive?.[subject.id]
    return waiver ? { status: 'waived', waiver, error } : { status: 'failed', error }
  }
  return { status: 'proved' }
}

/** @returns Why the case was skipped, or `null` when it passed. */
async function tryCase(harness: Harness, state: RunState, subject: Case, view: View): Promise<string | null> {
  using faults = new ProcessFaults()
  const skipped = await runCase(new CaseContext(harness, state, subject, view), subject, state)
  // Node reports an unhandled rejection only once the microtasks of its turn have run.
  await nextTurn()
  if (skipped === null) faults.throwIfAny()
  return skipped
}

async function runCase(t: CaseContext, subject: Case, { tested }: RunState): Promise<string | null> {
  try {
    await within(t.prepare(), TIMEOUT_MS.quick, 'open')
    const answer = subject.needs(t.capabilities, t.harness, t.view)
    if (answer !== true) return answer
    for (const capability of subject.proves) tested.add(capability)
    await within(subject.run(t), subject.timeoutMs ?? TIMEOUT_MS[subject.profile], 'the whole case')
    return null
  } catch (error) {
    if (error instanceof Skipped) return error.message
    throw error
  } finally {
    t.expire()
    await t.dispose()
  }
}

function explain({ seed }: RunState, { case: subject, view }: Planned, cause: unknown): string {
  return [
    `${label({ id: subject.id, view })}: ${subject.title}`,
    `  broken   ${printError(cause)}`,
    `  why      ${subject.why}`,
    ...(subject.declare ? [`  declare  ${subject.declare}, if the limit is real`] : []),
    `  again    { only: ['${subject.id}'], profile: '${subject.profile}', seed: ${seed} }`,
  ].join('\n')
}
