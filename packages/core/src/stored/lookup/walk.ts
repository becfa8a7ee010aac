import { setImmediate } from 'node:timers/promises'
import type { Cursor, Page } from '../../ports/index.ts'
import type { Ledger, View } from '../../ports/ledger.ts'

/**
 * Walks through what takes many reads, a page at a time. Between two pages everybody else in the process has a turn, so timers, signals
 * and answers come, however many rows there are. Rows written while it walks may or may not be met.
 */
export async function* walk<T>(
  ledger: Ledger,
  signal: AbortSignal,
  read: (view: View, from: Cursor | undefined) => Page<T>,
): AsyncGenerator<T, void, void> {
  for (let from: Cursor | undefined; ; await setImmediate()) {
    signal.throwIfAborted()
    const page = await ledger.look((view) => read(view, from))
    for (const item of page.items) {
      // What is done with one of them may take long.
      signal.throwIfAborted()
      yield item
    }
    if (page.next === null) return
    from = page.next
  }
}
