import { setImmediate } from 'node:timers/promises'
import type { Cursor, Page } from '../../ports/index.ts'
import type { Ledger, View } from '../../ports/ledger.ts'

/**
 * Walks through what takes many reads, a page at a time; none is empty. Between two pages everybody else in the process has a turn, so
 * timers, signals and answers come, however many rows there are. Rows written while it walks may or may not be met.
 */
export async function* walkPages<T>(
  ledger: Ledger,
  signal: AbortSignal,
  read: (view: View, from: Cursor | undefined) => Page<T>,
): AsyncGenerator<readonly T[], void, void> {
  for (let from: Cursor | undefined; ; await setImmediate()) {
    signal.throwIfAborted()
    const { items, next } = await ledger.look((view) => read(view, from))
    if (items.length > 0) yield items
    if (next === null) return
    from = next
  }
}

/** The same, one by one. */
export async function* walk<T>(
  ledger: Ledger,
  signal: AbortSignal,
  read: (view: View, from: Cursor | undefined) => Page<T>,
): AsyncGenerator<T, void, void> {
  for await (const page of walkPages(ledger, signal, read))
    for (const item of page) {
      // What is done with one of them may take long.
      signal.throwIfAborted()
      yield item
    }
}
