/**
 * Runs `work` for each item with bounded concurrency and yields the results in the order of the items. Takes no more
 * items than are in flight or waiting for their turn.
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
      // The rejection surfaces when the result is yielded; until then it must not count as unhandled.
      result.catch(() => {})
      running.push(result)
      if (running.length >= size) yield await (running.shift() as Promise<Result>)
    }
    while (running.length > 0) yield await (running.shift() as Promise<Result>)
  } finally {
    await Promise.allSettled(running)
  }
}
