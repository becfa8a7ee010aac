/**
 * Runs `work` for each item, so many at a time, and yields the results in the order of the items. No more items are taken than
 * are under way or wait for their turn.
 */
export async function* inOrder<Item, Result>(
  items: AsyncIterable<Item>,
  size: number,
  work: (item: Item) => Promise<Result>,
): AsyncGenerator<Result, void, void> {
  const running: Promise<Result>[] = []
  try {
    for await (const item of items) {
      const result = work(item)
      // Whoever takes its turn is told; until then it is not unhandled.
      result.catch(() => {})
      running.push(result)
      if (running.length >= size) yield await (running.shift() as Promise<Result>)
    }
    while (running.length > 0) yield await (running.shift() as Promise<Result>)
  } finally {
    await Promise.allSettled(running)
  }
}
