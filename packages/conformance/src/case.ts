import type { GuardedBackend, GuardOptions } from '@stored/core'
import type { Capabilities, StorageBackend, StorageErrorCode } from '@stored/core/backend'
import type { ChaosProxy } from './chaos-proxy.ts'
import type { Harness } from './harness.ts'
import type { Call, Subject, View } from './subject.ts'

/** How much is run. `quick`: under a minute, no network · `full`: under ten · `soak`: gigabytes. */
export type Profile = 'quick' | 'full' | 'soak'

/**
 * What `cp.proved` requires a case for. `local` is not included: it is advice to a cache, which no call can disprove.
 */
export type Provable = Exclude<keyof Capabilities, 'contract' | 'local' | 'keys' | 'limits'>

/** One promise of the contract, and how it is tested. */
export interface Case {
  /** `group.name`; stable, so that waivers and reports can refer to it. */
  readonly id: string
  readonly group: string
  /** Call, circumstance, outcome. */
  readonly title: string
  /** What goes wrong in practice if this does not hold. */
  readonly why: string
  /**
   * New cases start as `should` and become `must` with the next major version. A failed `should` does not fail the run.
   */
  readonly level: 'must' | 'should'
  /** The version of the kit that added it. */
  readonly since: string
  /** The smallest profile that runs it. */
  readonly profile: Profile
  /** With `raw`, it also runs directly on the driver, without the guard. */
  readonly views: readonly View[]
  /** What to declare if the medium cannot keep this promise. */
  readonly declare?: string
  /** The capabilities that it tests. */
  readonly proves: readonly Provable[]
  /** The errors that it makes the medium fail with. */
  readonly provokes: readonly StorageErrorCode[]
  /** In milliseconds. @default 30,000 in profile `quick`, 300,000 in `full`, an hour in `soak` */
  readonly timeoutMs?: number
  /** `true`, or the reason to skip it. */
  needs(capabilities: Capabilities, harness: Harness, view: View): true | string
  run(t: Ctx): Promise<void>
}

/**
 * What a case works with. Instances that it opens are closed after it, and what it stored below its scope is removed.
 */
export interface Ctx {
  readonly id: string
  readonly view: View
  readonly profile: Profile
  readonly seed: number
  readonly harness: Harness
  readonly capabilities: Capabilities
  /** Aborted when the case times out. */
  readonly signal: AbortSignal
  /** The prefix of every key of this case. */
  readonly scope: string
  /** The storage, in the view the case runs in. */
  readonly store: Subject
  /** The same instance with everything the guard adds. Only for cases that are not run raw. */
  readonly guard: GuardedBackend
  /** What this run has tested so far, and whether that is everything. */
  readonly run: { readonly tested: ReadonlySet<string>; readonly complete: boolean }
  key(name: string): string
  /** The bytes that `writer` writes; they identify it. */
  bytes(size: number, writer?: number): Uint8Array
  /** Another instance on the same storage, in the same view. */
  open(): Promise<Subject>
  /** A guarded instance on a driver that records each call, with some of its methods replaced. */
  spied(replaced?: Partial<StorageBackend>): Promise<{ guard: GuardedBackend; calls: Call[] }>
  /** A guard around `driver`, not yet opened. */
  wrap(driver: StorageBackend, options?: GuardOptions): GuardedBackend
  /** A guarded, opened instance that reaches the server through its own proxy. */
  through(options?: GuardOptions): Promise<{ guard: GuardedBackend; proxy: ChaosProxy }>
  /** A bare, opened instance. */
  driver(): Promise<StorageBackend>
  /** Reads a blob to its end. */
  read(key: string, from?: Pick<Subject, 'get'>): Promise<Uint8Array>
  /** The keys listed below the scope and `prefix`, without the scope. */
  names(prefix?: string, from?: Pick<Subject, 'list'>): Promise<string[]>
  /** Expects `key` to hold exactly `bytes`. */
  holds(key: string, bytes: Uint8Array, from?: Subject): Promise<void>
  /** Expects that `key` is neither found, nor read, nor listed. */
  lacks(key: string, from?: Subject): Promise<void>
  /** What unfinished puts of this case left behind, if the harness can tell. */
  debris(): Promise<readonly string[]>
  /** Expects that they left nothing behind. */
  clean(): Promise<void>
  /** Records that an undeclared capability was refused. */
  refused(capability: string): void
  /** Ends the case as skipped. */
  skip(reason: string): never
}

export interface Needs {
  (...args: Parameters<Case['needs']>): ReturnType<Case['needs']>
  /** What must be declared; if the promise cannot be kept, it should not be. */
  readonly capability?: Provable
}

/** A case as written: the usual values are left out. */
export interface CaseSpec
  extends Partial<Pick<Case, 'level' | 'since' | 'profile' | 'declare' | 'proves' | 'provokes' | 'timeoutMs'>> {
  title: string
  why: string
  /** Also run directly on the driver. */
  raw?: true
  needs?: Needs
  run(t: Ctx): Promise<void>
}

/** The cases of one group, in the order in which they are written. */
export function defineCases(group: string, specs: Readonly<Record<string, CaseSpec>>): readonly Case[] {
  return Object.entries(specs).map(([name, { raw, needs, run, ...spec }]) => ({
    ...(needs?.capability !== undefined && { declare: `no ${needs.capability}` }),
    level: 'must',
    since: '1.0',
    profile: 'quick',
    proves: [],
    provokes: [],
    ...spec,
    id: `${group}.${name}`,
    group,
    views: raw ? ['guarded', 'raw'] : ['guarded'],
    needs: group === 'cp' ? (needs ?? always) : all(writable, needs ?? always),
    run,
  }))
}

const always: Needs = () => true
const writable: Needs = ({ readOnly }) => (readOnly ? 'readOnly: nothing can be put' : true)

export function capability(name: Provable): Needs {
  const needs: Needs = (capabilities) => (capabilities[name] ? true : `capability ${name} is not declared`)
  return Object.assign(needs, { capability: name })
}

export function absent(name: Provable): Needs {
  return (capabilities) => (capabilities[name] ? `capability ${name} is declared` : true)
}

/** Applies only to the raw view: through the guard the promise holds for every driver. */
export function rawOnly(needs: Needs): Needs {
  const rawNeeds: Needs = (capabilities, harness, view) => (view === 'raw' ? needs(capabilities, harness, view) : true)
  return Object.assign(rawNeeds, named(needs))
}

type Hook =
  | 'debris'
  | 'outsider'
  | 'deny'
  | 'fail'
  | 'broken'
  | 'child'
  | 'endpoint'
  | 'noContainer'
  | 'rotate'
  | 'secrets'
  | 'restartServer'
  | 'quota'
  | 'busy'

export function hook(name: Hook): Needs {
  return (_, harness) => (harness[name] ? true : `the harness has no ${name}`)
}

/** Excludes storages in the memory that a case would measure or fill. */
export const outOfProcess: Needs = (_, { inProcess }) =>
  inProcess ? 'inProcess: the blobs lie in the memory of this process' : true

export function outsider(name: 'symlink' | 'mkdir' | 'special' | 'undecodable' | 'outside'): Needs {
  return (_, harness) => (harness.outsider?.[name] ? true : `the harness has no outsider.${name}`)
}

export function creds(kind: 'bad' | 'readonly'): Needs {
  return (_, harness) => (harness.creds?.includes(kind) ? true : `the harness has no creds ${kind}`)
}

/** Applies if any of these does. */
export function either(...needs: readonly Needs[]): Needs {
  return (...args) => {
    const answers = needs.map((need) => need(...args))
    return answers.includes(true) ? true : answers.join(', ')
  }
}

/** The first reason to skip among several. */
export function all(...needs: readonly Needs[]): Needs {
  const every: Needs = (...args) => {
    for (const need of needs) {
      const answer = need(...args)
      if (answer !== true) return answer
    }
    return true
  }
  return Object.assign(every, named(needs.find((need) => need.capability !== undefined)))
}

function named(needs: Needs | undefined): { capability?: Provable } {
  return needs?.capability === undefined ? {} : { capability: needs.capability }
}
