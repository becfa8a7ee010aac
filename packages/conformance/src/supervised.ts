import type { StorageBackend } from '@stored/core/backend'
import { nextTurn } from './expect.ts'

/** How long timers may have to wait: what a driver answers at once, and at once again, lets none fire. */
const TURN_MS = 10

let lastTurn = performance.now()

/** Lets the event loop turn, unless it did a moment ago. */
async function breathe(signal: AbortSignal): Promise<void> {
  if (performance.now() - lastTurn >= TURN_MS) {
    await nextTurn()
    lastTurn = performance.now()
  }
  // The time of the case may be up by now: whatever it still goes on with ends here.
  signal.throwIfAborted()
}

/**
 * `driver`, whose calls are in `pending` until they settle: what to name when nothing goes on. However fast it answers, timers fire
 * between two answers, so that the time of a case can be up; once `over` is aborted nothing is answered any more.
 */
export function supervised(driver: StorageBackend, pending: Set<string>, over: AbortSignal): StorageBackend {
  return new Proxy(driver, {
    get(target, name) {
      const value = Reflect.get(target, name)
      if (typeof value !== 'function' || name === 'constructor') return value
      return (...args: unknown[]) => {
        const result: unknown = Reflect.apply(value, target, args)
        if (isIterable(result)) return paced(result, over)
        if (!(result instanceof Promise)) return result
        // One key may be asked for several times at once.
        const call = `${String(name)}(${typeof args[0] === 'string' ? JSON.stringify(args[0]) : ''})`
        pending.add(call)
        return settled(result, over).finally(() => pending.delete(call))
      }
    },
  })
}

async function settled(result: Promise<unknown>, over: AbortSignal): Promise<unknown> {
  const answer = await result.finally(() => breathe(over))
  return hasBody(answer) ? { ...answer, body: paced(answer.body, over) } : answer
}

/** `items`, between which timers fire. */
function paced<T>(items: AsyncIterable<T>, over: AbortSignal): AsyncIterable<T> {
  return {
    [Symbol.asyncIterator]() {
      const iterator = items[Symbol.asyncIterator]()
      const leave = iterator.return?.bind(iterator)
      // What iterates does not leave an iterator that rejects, and this one has not ended by itself.
      const ended = async (reason: unknown) => {
        try {
          await leave?.()
        } catch {
          // The case has failed already, with a reason that says more.
        }
        throw reason
      }
      return {
        next: async () => iterator.next().finally(() => breathe(over).catch(ended)),
        ...(leave && { return: leave }),
      }
    },
  }
}

function hasBody(answer: unknown): answer is { body: AsyncIterable<unknown> } {
  return typeof answer === 'object' && answer !== null && 'body' in answer && isIterable(answer.body)
}

function isIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value
}
