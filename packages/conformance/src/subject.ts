import { setMaxListeners } from 'node:events'
import type { Capabilities, GetResult, Stat, StorageBackend } from '@stored/core/backend'

/** How a case reaches the storage: through the guard, as programs do, or directly on the driver. */
export type View = 'guarded' | 'raw'

export type Body = Uint8Array | AsyncIterable<Uint8Array>

export interface SubjectPutOptions {
  size?: number
  ifAbsent?: true
  ifMatch?: string
  signal?: AbortSignal
}

/** What both views have in common. A guarded backend already is one. */
export interface Subject {
  readonly capabilities: Capabilities
  put(key: string, body: Body, options?: SubjectPutOptions): Promise<Stat>
  get(key: string, options?: { offset?: number; length?: number; signal?: AbortSignal }): Promise<GetResult>
  stat(key: string, options?: { signal?: AbortSignal }): Promise<Stat | null>
  delete(key: string, options?: { signal?: AbortSignal }): Promise<void>
  list(options?: { prefix?: string; startAfter?: string; signal?: AbortSignal }): AsyncIterable<Stat>
  close(): Promise<void>
}

/** The bare driver, with the arguments that the guard would have filled in. */
export function rawSubject(driver: StorageBackend): Subject {
  const never = new AbortController().signal
  setMaxListeners(0, never)
  return {
    capabilities: driver.capabilities,
    put: (key, body, { signal = never, ...options } = {}) =>
      driver.put(key, body instanceof Uint8Array ? once(body) : body, { ...sizeOf(body), ...options, signal }),
    get: (key, { signal = never, ...options } = {}) => driver.get(key, { ...options, signal }),
    stat: (key, { signal = never } = {}) => driver.stat(key, { signal }),
    delete: (key, { signal = never } = {}) => driver.delete(key, { signal }),
    list: ({ prefix = '', signal = never, ...options } = {}) => driver.list({ ...options, prefix, signal }),
    close: async () => driver.close?.(),
  }
}

export async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes
}

function sizeOf(body: Body): { size?: number } {
  return body instanceof Uint8Array ? { size: body.byteLength } : {}
}

/** A call that reached a driver. */
export interface Call {
  readonly method: string
  readonly args: readonly unknown[]
}

type Replacement = Partial<StorageBackend>

/** `driver`, with every call recorded in `calls`, and with some of its methods replaced. */
export function spyOn(driver: StorageBackend, calls: Call[], replaced: Replacement = {}): StorageBackend {
  return new Proxy(driver, {
    get(target, name) {
      // Read and called on the target: private fields do not work through a proxy.
      const value = Reflect.get(name in replaced ? replaced : target, name)
      if (typeof value !== 'function' || name === 'constructor') return value
      return (...args: unknown[]) => {
        calls.push({ method: String(name), args })
        return Reflect.apply(value, target, args)
      }
    },
  })
}
