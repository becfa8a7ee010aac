import type { Queue, Staging } from '@stored/core'
import type { MemoryBackend } from '@stored/core/backend'
import type { TreeLedger } from '@stored/ledger'

/** Resolves when its turn has come. */
export type Tick = (what: string) => Promise<void>

/** `port`, of which those methods answer in their turn: in between, others act. What they iterate comes in turns as well. */
export function answering<Port extends object>(port: Port, methods: readonly (keyof Port)[], tick: Tick): Port {
  const taking = new Map<PropertyKey, unknown>()
  for (const name of methods) {
    const method = (port[name] as (...args: unknown[]) => unknown).bind(port)
    taking.set(name, (...args: unknown[]) => later(method(...args), tick, String(name)))
  }
  return over(port, taking)
}

export function scheduledLedger(ledger: TreeLedger, tick: Tick): TreeLedger {
  const transact: TreeLedger['transact'] = async (write) => {
    await tick('commit')
    const result = await ledger.transact(write)
    await tick('committed')
    return result
  }
  const look: TreeLedger['look'] = async (read) => {
    const seen = await ledger.look(read)
    await tick('look')
    return seen
  }
  const taking: [PropertyKey, unknown][] = [
    ['transact', transact],
    ['look', look],
  ]
  return over(ledger, new Map(taking))
}

export function scheduledQueue<T extends Queue>(queue: T, tick: Tick): T {
  return answering(queue, ['nextDue'], tick)
}

export function scheduledStaging<T extends Staging>(staging: T, tick: Tick): T {
  const taking = answering(staging, ['releasable'], tick)
  const open: Staging['open'] = async (...args) => {
    const opened = await staging.open(...args)
    await tick('open')
    return opened && { ...opened, body: each(opened.body, tick, 'read') }
  }
  return over(taking, new Map([['open', open]]))
}

const CALLS = ['put', 'get', 'stat', 'delete'] as const

/** A backend whose requests and answers come in turns. */
export function scheduledBackend(backend: MemoryBackend, tick: Tick): MemoryBackend {
  const calls = CALLS.map((name) => {
    const call = backend[name].bind(backend) as (...args: unknown[]) => Promise<unknown>
    const scheduled = async (...args: unknown[]) => {
      await tick(name)
      const answer = await call(...args)
      await tick(`${name} done`)
      return answer
    }
    return [name, scheduled] as const
  })
  return over(backend, new Map(calls))
}

function later(answer: unknown, tick: Tick, what: string): unknown {
  if (isIterable(answer)) return each(answer, tick, what)
  return Promise.resolve(answer).then(async (value) => {
    await tick(what)
    return value
  })
}

async function* each<T>(items: AsyncIterable<T>, tick: Tick, what: string): AsyncGenerator<T, void, void> {
  for await (const item of items) {
    await tick(what)
    yield item
  }
  await tick(what)
}

function isIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value
}

/** `target` with other members. */
function over<T extends object>(target: T, members: ReadonlyMap<PropertyKey, unknown>): T {
  return new Proxy(target, {
    get(_, name) {
      if (members.has(name)) return members.get(name)
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}
