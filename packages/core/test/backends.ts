import { type Capabilities, MemoryBackend, type StorageBackend } from '@stored/core/backend'

/** A call that reached a driver. */
export interface Call {
  readonly method: string
  readonly args: readonly unknown[]
}

export interface Spied {
  readonly backend: StorageBackend
  readonly calls: Call[]
}

/** A MemoryBackend's capabilities reduced to the five methods. */
export const BARE: Capabilities = { contract: 1 }

/** A MemoryBackend that records its calls, with some methods replaced and, if given, other capabilities. */
export function spyBackend(replaced: Partial<StorageBackend> = {}, capabilities?: Capabilities): Spied {
  const calls: Call[] = []
  const driver = new MemoryBackend()
  const backend = new Proxy<StorageBackend>(driver, {
    get(target, name) {
      if (name === 'capabilities' && capabilities !== undefined) return capabilities
      const value: unknown = Reflect.get(name in replaced ? replaced : target, name)
      if (typeof value !== 'function') return value
      return (...args: unknown[]) => {
        calls.push({ method: String(name), args })
        return Reflect.apply(value, target, args)
      }
    },
  })
  return { backend, calls }
}

export async function* chunks(...parts: (string | Uint8Array)[]): AsyncGenerator<Uint8Array, void, void> {
  for (const part of parts) yield Buffer.from(part)
}

export async function text(body: AsyncIterable<Uint8Array>): Promise<string> {
  return Buffer.concat(await Array.fromAsync(body)).toString()
}

/** A promise that settles only when `signal` is aborted. */
export function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }))
}

/** Never settles, even after an abort. */
export const deaf = (): Promise<never> => new Promise(() => {})
