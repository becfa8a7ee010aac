import type { Bindings, Bound, Call, Finding, Inspection, Message, Told } from './protocol.ts'

/** Where a kill may hit the process. */
export const PHASES = ['put', 'commit', 'sync'] as const
export type Phase = (typeof PHASES)[number]

/** What the store must contain, according to the messages before and after each call. */
export class Model {
  readonly #bound = new Map<string, Bound>()
  readonly #open = new Map<number, { readonly call: Call; phase: 'put' | 'commit' }>()
  readonly #syncing = new Set<string>()
  readonly #keys = new Set<string>()
  readonly #stored = new Set<string>()
  /** Since the last check, in order. */
  #calls: { readonly call: Call; isAcknowledged: boolean }[] = []
  #lastEvent = '0'
  readonly violations: string[] = []
  acknowledged = 0
  /** Calls that were in progress at a kill, by their outcome. */
  readonly interrupted = { done: 0, undone: 0 }

  get bindings(): Bindings {
    return Object.fromEntries(this.#bound)
  }

  hear(message: Message): void {
    switch (message.type) {
      case 'open':
        return
      case 'intent':
        this.#keys.add(message.call.key)
        if (message.call.op === 'put') this.#stored.add(message.call.content.sha256)
        this.#calls.push({ call: message.call, isAcknowledged: false })
        this.#open.set(message.n, { call: message.call, phase: message.call.op === 'delete' ? 'commit' : 'put' })
        return
      case 'read': {
        const open = this.#open.get(message.n)
        if (open) open.phase = 'commit'
        return
      }
      case 'ack':
        this.#acknowledge(message.n, message.id)
        return
      case 'failed':
        // It may have happened nevertheless, so it stays open.
        this.violations.push(`a call was rejected: ${message.error}`)
        return
      case 'parked':
        this.violations.push(`the job of ${message.place} was parked: ${message.error}`)
        return
      case 'sync:start':
        this.#syncing.add(message.place)
        return
      case 'sync:end':
        this.#syncing.delete(message.place)
    }
  }

  /** A phase that is provably in progress: preferably the intended one. */
  findPhase(meant: Phase): Phase | undefined {
    return [meant, ...PHASES].find((phase) => this.#isIn(phase))
  }

  #isIn(phase: Phase): boolean {
    if (phase === 'sync') return this.#syncing.size > 0
    return [...this.#open.values()].some((open) => open.phase === phase)
  }

  /** What may be found after a kill. */
  inspection(): Inspection {
    const allowed: Record<string, (Bound | null)[]> = {}
    for (const key of this.#keys) allowed[key] = [this.#bound.get(key) ?? null]
    for (const { call } of this.#open.values()) allowed[call.key]?.push(boundBy(call))
    const told = this.#calls.map(({ call, isAcknowledged }) => ({ ...toldOf(call), isAcknowledged }))
    return { allowed, stored: [...this.#stored], log: { since: this.#lastEvent, told } }
  }

  /** Adopts what was found after a kill. */
  settle({ bindings, lastEvent }: Pick<Finding, 'bindings' | 'lastEvent'>): void {
    for (const { call } of this.#open.values())
      this.interrupted[bindings[call.key]?.note === boundBy(call)?.note ? 'done' : 'undone']++
    this.#open.clear()
    this.#syncing.clear()
    this.#bound.clear()
    this.#stored.clear()
    this.#calls = []
    this.#lastEvent = lastEvent
    for (const [key, content] of Object.entries(bindings)) {
      this.#bound.set(key, content)
      this.#stored.add(content.sha256)
    }
  }

  #acknowledge(n: number, id: string | undefined): void {
    const call = this.#open.get(n)?.call
    const noted = this.#calls.find((one) => one.call === call)
    if (!call || !noted) throw new Error(`call ${n} was never announced`)
    this.#open.delete(n)
    noted.isAcknowledged = true
    this.acknowledged++
    if (call.op === 'delete') {
      this.#bound.delete(call.key)
      return
    }
    this.#bound.set(call.key, { ...call.content, note: call.note })
    if (id !== `sha256:${call.content.sha256}`)
      this.violations.push(`a put of ${call.content.sha256} was given the id ${id}`)
  }
}

/** What its key is bound to afterwards. */
function boundBy(call: Call): Bound | null {
  return call.op === 'put' ? { ...call.content, note: call.note } : null
}

function toldOf(call: Call): Told {
  return call.op === 'put' ? { op: 'put', key: call.key, sha256: call.content.sha256 } : { op: 'delete', key: call.key }
}
