import { setTimeout } from 'node:timers/promises'
import { PHASES, type Phase } from './model.ts'
import { Victim, type VictimOptions } from './processes.ts'
import type { Message, Work } from './protocol.ts'
import type { Random } from './random.ts'

/** The most time between the first sign of a phase and the moment. A commit takes less than a file. */
const WITHIN_MS: Readonly<Record<Phase, number>> = { put: 30, commit: 3, sync: 10 }
/** How many signs of the phase may pass first. */
const LET_PASS = 60
const PATIENCE_MS = 60_000

/** The phase with the fewest moments so far. */
export function rarest(found: Readonly<Record<Phase, number>>): Phase {
  return PHASES.toSorted((a, b) => found[a] - found[b])[0] as Phase
}

/** Starts a process that works on the store, and resolves at a random moment of a phase of its work. */
export async function workUntil(
  phase: Phase,
  random: Random,
  directory: string,
  work: Work,
  onMessage: (message: Message) => void,
  options?: VictimOptions,
): Promise<Victim> {
  const reached = Promise.withResolvers<void>()
  let toPass = random.below(LET_PASS)
  const hear = (message: Message) => {
    onMessage(message)
    if (begins(message) === phase && --toPass < 0) reached.resolve()
  }
  const victim = new Victim(directory, work, hear, options)
  const patience = new AbortController()
  const tooLong = setTimeout(PATIENCE_MS, undefined, { signal: patience.signal }).then(() => {
    throw new Error(`no ${phase} within ${PATIENCE_MS / 1000} s`)
  })
  await Promise.race([reached.promise, victim.ended(), tooLong]).finally(() => patience.abort())
  tooLong.catch(() => {}) // Aborted: the phase was reached.
  await setTimeout(random.below(WITHIN_MS[phase] + 1))
  return victim
}

/** Starts a process that only opens the store and syncs, and resolves at a random moment, before it is open or soon after. */
export async function recoverUntil(
  random: Random,
  directory: string,
  seed: string,
  onMessage: (message: Message) => void,
  options?: VictimOptions,
): Promise<Victim> {
  const opened = Promise.withResolvers<void>()
  const hear = (message: Message) => {
    if (message.type === 'parked') onMessage(message)
    if (message.type === 'open') opened.resolve()
  }
  const victim = new Victim(directory, { seed, bindings: {}, workers: 0 }, hear, options)
  if (random.below(2) === 0) await Promise.race([opened.promise, victim.ended()])
  await setTimeout(random.below(200))
  return victim
}

function begins(message: Message): Phase | null {
  if (message.type === 'intent') return message.call.op === 'put' ? 'put' : 'commit'
  if (message.type === 'read') return 'commit'
  return message.type === 'sync:start' ? 'sync' : null
}
