/** How often a slow body moves, per second. */
const STEPS = 4

/** `body` at no more than `bytesPerSecond`, a quarter of a second's bytes at a time. */
export async function* slowed(
  body: AsyncIterable<Uint8Array>,
  bytesPerSecond: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const stepBytes = Math.max(1, Math.floor(bytesPerSecond / STEPS))
  for await (const chunk of body)
    for (let at = 0; at < chunk.byteLength; at += stepBytes) {
      const step = chunk.subarray(at, at + stepBytes)
      await sleep((step.byteLength / bytesPerSecond) * 1000, signal)
      yield step
    }
}

/** Waits for `ms`, using the global timer so that a test can replace its clock. Rejects with the reason of `signal`. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const onAbort = (): void => reject(signal.reason)
  const timer = setTimeout(resolve, ms)
  if (signal.aborted) onAbort()
  signal.addEventListener('abort', onAbort)
  return promise.finally(() => {
    clearTimeout(timer)
    signal.removeEventListener('abort', onAbort)
  })
}

/** Never resolves; rejects with the reason of `signal`. */
export function untilAborted(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>()
  if (signal.aborted) reject(signal.reason)
  else signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  return promise
}
