declare module 'cacache' {
  export function put(
    cache: string,
    key: string,
    data: Uint8Array,
    options?: { algorithms?: string[] },
  ): Promise<unknown>
}
