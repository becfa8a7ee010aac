import type { Ctx } from '../case.ts'

const AT_ONCE = 16

/**
 * Does `work` for each of `items`, as many at once as the driver allows: most media have latency rather than low
 * throughput.
 */
export async function inBatches<T>(
  t: Ctx,
  items: readonly T[],
  work: (item: T, index: number) => Promise<unknown>,
): Promise<void> {
  const atOnce = Math.min(AT_ONCE, t.capabilities.limits?.maxConcurrent ?? AT_ONCE)
  for (let at = 0; at < items.length; at += atOnce)
    await Promise.all(items.slice(at, at + atOnce).map((item, i) => work(item, at + i)))
}
