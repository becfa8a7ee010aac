declare module 'cacache' {
  /** What the index says about a key. */
  interface Entry {
    readonly key: string
    readonly integrity: string
    readonly path: string
    readonly size: number
    readonly metadata: unknown
  }

  export function put(
    cache: string,
    key: string,
    data: Uint8Array,
    options?: { algorithms?: string[]; tmpPrefix?: string; metadata?: unknown },
  ): Promise<unknown>

  export const get: { info(cache: string, key: string): Promise<Entry | null> }

  export const index: {
    insert(
      cache: string,
      key: string,
      integrity: string,
      options: { size: number; metadata?: unknown },
    ): Promise<Entry | undefined>
  }

  export const rm: {
    entry(cache: string, key: string, options?: { removeFully?: boolean }): Promise<unknown>
    content(cache: string, integrity: string): Promise<boolean>
  }
}
