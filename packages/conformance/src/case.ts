import type { GuardedBackend, GuardOptions } from '@stored/core'
import type { Capabilities, StorageBackend, StorageErrorCode } from '@stored/core/backend'
import type { ChaosProxy } from './chaos-proxy.ts'
import type { Harness } from './harness.ts'
import type { Call, Subject, View } from './subject.ts'

/** How much is run. `quick`: under a minute, no network · `full`: under ten · `soak`: gigabytes. */
export type Profile = 'quick' | 'full' | 'soak'

/** What `cp.proved` looks for a case of. `local` is not among them: it is advice to a cache, which no call can disprove. */
export type Provable = Exclude<keyof Capabilities, 'contract' | 'local' | 'keys' | 'limits'>

/** One promise of the contract, and how it is put to the test. */
export interface Case {
  /** `group.name`; stable, so that waivers and reports can refer to it. */
  readonly id: string
  readonly group: string
  /** Call, circumstance, outcome. */
  readonly title: string
  /** What goes wrong in practice where this does not hold. */
  readonly why: string
  /** New cases come as `should` and become `must` with the next major version. A failed `should` fails no run. */
  readonly level: 'must' | 'should'
  /** The version of the kit that brought it. */
  readonly since: string
  /** The smallest profile that runs it. */
  readonly profile: Profile
  /** `raw`: it is run a second time on the driver, without the guard. */
  readonly views: readonly View[]
  /** What may be declared where the medium cannot keep this promise. */
  readonly declare?: string
  /** The capabilities that it puts to the test. */
  readonly proves: readonly Provable[]
  /** What the medium is made to fail with. */
  readonly provokes: readonly StorageErrorCode[]
  /** In milliseconds. @default 30,000 in profile `quick`, 300,000 in `full`, an hour in `soak` */
  readonly timeoutMs?: number
  /** `true`, or the reason to skip it. */
  needs(capabilities: Capabilities, harness: Harness, view: View): true | string
  run(t: Ctx): Promise<void>
}

/** What a case works with. Instances it opens are closed after it, and what it stored below its scope is removed. */
export interface Ctx {
  readonly id: string
  readonly view: View
  readonly profile: Profile
  readonly seed: number
  readonly harness: Harness
  readonly capabilities: Capabilities
  /** Aborted when the time of the case is up. */
  readonly signal: AbortSignal
  /** The prefix of every key of this case. */
  readonly scope: string
  /** The storage, in the view the case runs in. */
  readonly store: Subject
  /** The same instance, with all that the guard adds. Only for cases that are not run raw. */
  readonly guard: GuardedBackend
  /** What this run has put to the test so far, and whether that is everything. */
  readonly run: { readonly tested: ReadonlySet<string>; readonly complete: boolean }
  key(name: string): string
  /** What `writer` writes: bytes that name it. */
  bytes(size: number, writer?: number): Uint8Array
  /** Another instance on the same storage, in the same view. */
  open(): Promise<Subject>
  /** A guarded instance on a driver that notes each call, with some of its methods replaced. */
  spied(replaced?: Partial<StorageBackend>): Promise<{ guard: GuardedBackend; calls: Call[] }>
  /** A guard before `driver`, not yet opened. */
  wrap(driver: StorageBackend, options?: GuardOptions): GuardedBackend
  /** A guarded, opened instance that reaches the server through a proxy of its own. */
  through(options?: GuardOptions): Promise<{ guard: GuardedBackend; proxy: ChaosProxy }>
  /** A bare, opened instance. */
  driver(): Promise<StorageBackend>
  /** Reads a blob to its end. */
  read(key: string, from?: Pick<Subject, 'get'>): Promise<Uint8Array>
  /** The keys that are listed below the scope and `prefix`, without the scope. */
  names(prefix?: string, from?: Pick<Subject, 'list'>): Promise<string[]>
  /** Expects `key` to hold exactly `bytes`. */
  holds(key: string, bytes: Uint8Array, from?: Subject): Promise<void>
  /** Expects `key` to be neither found, nor read, nor listed. */
  lacks(key: string, from?: Subject): Promise<void>
  /** What unfinished puts of this case left, where the harness can tell. */
  debris(): Promise<readonly string[]>
  /** Expects that they left nothing. */
  clean(): Promise<void>
  /** Notes that an undeclared capability was shown to be refused. */
  refused(capability: string): void
  /** Ends the case as skipped. */
  skip(reason: string): never
}

export interface Needs {
  (...args: Parameters<Case['needs']>): ReturnType<Case['needs']>
  /** What has to be declared: where the promise cannot be kept, it should not be. */
  readonly capability?: Provable
}

/** A case as it is written: what is usual is left out. */
export interface CaseSpec
  extends Partial<Pick<Case, 'level' | 'since' | 'profile' | 'declare' | 'proves' | 'provokes' | 'timeoutMs'>> {
  title: string
  why: string
  /** Run on the driver too. */
  raw?: true
  needs?: Needs
  run(t: Ctx): Promise<void>
}

/** The cases of one group, in the order they are written. */
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

/** Applies to the raw view alone: through the guard the promise holds for every driver. */
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

/** Leaves out storages in the memory that a case would measure, or fill. */
export const outOfProcess: Needs = (_, { inProcess }) =>
  inProcess ? 'inProcess: the blobs lie in the memory of this process' : true

export function outsider(name: 'symlink' | 'mkdir' | 'special' | 'undecodable' | 'outside'): Needs {
  return (_, harness) => (harness.outsider?.[name] ? true : `the harness has no outsider.${name}`)
}

export function creds(kind: 'bad' | 'readonly'): Needs {
  return (_, harness) => (harness.creds?.includes(kind) ? true : `the harness has no creds ${kind}`)
}

/** Applies where one of these does. */
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
