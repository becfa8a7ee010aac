import type { Content } from '@stored/kill/content'
import { check, type Operation } from '@stored/testing/linearizability'
import type { Answer, Call, Message } from './protocol.ts'

/** What all processes did to each key. */
export class History {
  readonly #byKey = new Map<string, Operation[]>()
  readonly #open = new Map<string, { readonly call: Call; readonly at: number }>()
  /** Everything that was put, by SHA-256. */
  readonly contents = new Map<string, Content>()
  readonly violations: string[] = []
  returned = 0
  /** Calls whose process was killed. */
  interrupted = 0

  get keys(): string[] {
    return [...this.#byKey.keys()]
  }

  /** The most calls for one key. */
  get longest(): number {
    return Math.max(0, ...[...this.#byKey.values()].map((operations) => operations.length))
  }

  /** @param member A unique name for the process. */
  hear(member: string, message: Message): void {
    if (message.type === 'call') {
      this.#open.set(`${member} ${message.n}`, message)
      if (message.call.op === 'put') this.contents.set(message.call.content.sha256, message.call.content)
    } else if (message.type === 'return') this.#return(`${member} ${message.n}`, message.at, message.answer)
    else if (message.type === 'failed') this.#fail(`${member} ${message.n}`, message.error)
  }

  /** Counts the remaining calls as ones that may or may not have happened. */
  end(): void {
    for (const { call, at } of this.#open.values()) {
      this.interrupted++
      this.#add(operationsOf(call, at, null))
    }
    this.#open.clear()
  }

  /** A read after all other calls. */
  read(key: string, at: number, end: number, value: string | null): void {
    this.#add([{ key, operation: { call: at, return: end, found: { value }, what: `read ${value} at last` } }])
  }

  /** Searches for an order that explains each key's history. */
  check(): void {
    for (const [key, operations] of this.#byKey) {
      const verdict = check(operations)
      if (verdict !== 'linearizable') this.violations.push(`${key} is ${verdict}:\n${describe(operations)}`)
    }
  }

  #return(name: string, at: number, answer: Answer): void {
    const open = this.#open.get(name)
    if (!open) throw new Error(`call ${name} was never announced`)
    this.#open.delete(name)
    this.returned++
    this.#add(operationsOf(open.call, open.at, { at, answer }))
  }

  /** It may have happened nevertheless, so it stays open. */
  #fail(name: string, error: string): void {
    const call = this.#open.get(name)?.call
    this.violations.push(`a ${call?.op} was rejected: ${error}`)
  }

  #add(operations: readonly Keyed[]): void {
    for (const { key, operation } of operations) {
      const known = this.#byKey.get(key)
      if (known) known.push(operation)
      else this.#byKey.set(key, [operation])
    }
  }
}

interface Keyed {
  readonly key: string
  readonly operation: Operation
}

interface Return {
  readonly at: number
  readonly answer: Answer
}

function operationsOf(call: Call, at: number, end: Return | null): Keyed[] {
  const when = { call: at, return: end?.at ?? null }
  if (call.op !== 'list') {
    const effect = effectOf(call, end?.answer)
    return effect ? [{ key: call.key, operation: { ...when, ...effect, what: wordsOf(call, end?.answer) } }] : []
  }
  if (end?.answer.op !== 'list') return []
  // A listing is not a snapshot: each of its rows is a read.
  const { values } = end.answer
  return call.keys.map((key) => {
    const value = values[key] ?? null
    return { key, operation: { ...when, found: { value }, what: `list ${value}` } }
  })
}

type Effect = Pick<Operation, 'found' | 'becomes'>

/** @returns `null` for a read that found nothing out. */
function effectOf(call: Exclude<Call, { op: 'list' }>, answer: Answer | undefined): Effect | null {
  if (call.op === 'put') return effectOfPut(call, answer?.op === 'put' ? answer.done : undefined)
  if (call.op === 'delete') {
    if (answer?.op !== 'delete') return { becomes: null }
    return { becomes: null, found: answer.existed ? { not: null } : { value: null } }
  }
  return answer && 'value' in answer ? { found: { value: answer.value } } : null
}

function effectOfPut({ content, on }: Extract<Call, { op: 'put' }>, done: boolean | undefined): Effect {
  const becomes = content.sha256
  if (on === 'any') return { becomes }
  const wanted = on === 'absent' ? null : on.sha256
  return done === false ? { found: { not: wanted } } : { found: { value: wanted }, becomes }
}

function wordsOf(call: Exclude<Call, { op: 'list' }>, answer: Answer | undefined): string {
  const { op, key: _, ...rest } = call
  return `${op} ${JSON.stringify(rest)} → ${answer ? JSON.stringify(answer) : 'killed'}`
}

function describe(operations: readonly Operation[]): string {
  const first = Math.min(...operations.map(({ call }) => call))
  return operations
    .toSorted((a, b) => a.call - b.call)
    .map(({ call, return: end, what }) => `    ${call - first}–${end === null ? '…' : end - first} µs ${what}`)
    .join('\n')
}
