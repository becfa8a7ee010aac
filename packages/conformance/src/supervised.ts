import type { StorageBackend } from '@stored/core/backend'
import { nextTurn } from './expect.ts'

/** How long timers may have to wait: a driver that always answers at once lets none fire. */
const TURN_MS = 10

let lastTurn = performance.now()

/** Lets the event loop turn, unless it just did. */
async function breathe(signal: AbortSignal): Promise<void> {
  if (performance.now() - lastTurn >= TURN_MS) {
    await nextTurn()
    lastTurn = performance.now()
  }
  // The case may have timed out: whatever it is still doing ends here.
  signal.throwIfAborted()
}

/**
 * `driver`, with its calls in `pending` until they settle, so that a hang can be named. However fast it answers, timers
 * fire between two answers, so that a case can time out. Once `over` is aborted nothing is answered any more.
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
        // One key may be requested several times at once.
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

/** `items`, with timers firing in between. */
function paced<T>(items: AsyncIterable<T>, over: AbortSignal): AsyncIterable<T> {
  return {
    [Symbol.asyncIterator]() {
      const iterator = items[Symbol.asyncIterator]()
      const leave = iterator.return?.bind(iterator)
      // A loop does not close an iterator that rejects, and this one has not ended by itself.
      const ended = async (reason: unknown) => {
        try {
          await leave?.()
        } catch {
          // The case has already failed with a more informative reason.
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
