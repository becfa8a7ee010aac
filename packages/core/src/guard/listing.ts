import type { Capabilities, ListOptions, Stat, StorageBackend } from '../backend/contract.ts'
import { StorageError } from '../backend/error.ts'
import { compareKeys, keyFault } from '../backend/keys.ts'
import type { GuardedListOptions } from './guarded-backend.ts'
import type { Operation } from './operation.ts'
import { type RetryPolicy, retried } from './retry.ts'
import { pull, type Runner } from './stream.ts'

export interface ListContext {
  readonly driver: StorageBackend
  readonly operation: Operation
  readonly run: Runner
  readonly retry: RetryPolicy
  /** Maximum number of entries held in memory for sorting or folding. */
  readonly sortLimit: number
  /** Called for each name that is not a valid key. */
  onForeign(key: string, fault: string): void
}

/**
 * Lists as `options` say, whatever the driver supports: entries are folded, then those up to `startAfter` are skipped,
 * then they are sorted, then counted. The last entry of a page is therefore where the next page starts, folded or not.
 */
export async function* list(context: ListContext, options: GuardedListOptions): AsyncGenerator<Stat, void, void> {
  const { startAfter, limit = Number.POSITIVE_INFINITY, delimiter, prefix = '' } = options
  const { order } = context.driver.capabilities
  let entries: AsyncIterable<Stat> = driverEntries(context, options)
  if (delimiter !== undefined) entries = fold(entries, prefix, order ? 1 : context.sortLimit, context.operation)
  if (startAfter !== undefined) entries = after(entries, startAfter)
  if (options.sorted && !order) entries = sort(entries, context.sortLimit, context.operation)
  if (limit === 0) return
  let count = 0
  for await (const entry of entries) {
    yield entry
    count += 1
    if (count === limit) return
  }
}

/** The driver's entries. Retries as long as none has arrived. */
async function* driverEntries(context: ListContext, options: GuardedListOptions): AsyncGenerator<Stat, void, void> {
  const { driver, operation, retry, run } = context
  const { prefix = '' } = options
  const passed = driverOptions(options, driver.capabilities, operation.signal)
  const { entries, first } = await retried(retry, operation, async () => {
    const entries = pull(driver.list(passed), operation, run)
    return { entries, first: await entries.next() }
  })
  try {
    for (let step = first; !step.done; step = await entries.next()) {
      const { key } = step.value
      const fault = keyFault(key)
      if (fault !== null) context.onForeign(key, fault)
      else if (key.startsWith(prefix)) yield step.value
      else throw new StorageError('INTERNAL', operation.at, { detail: `the driver listed ${JSON.stringify(key)}` })
    }
  } finally {
    await entries.return()
  }
}

function driverOptions(options: GuardedListOptions, { startAfter }: Capabilities, signal: AbortSignal): ListOptions {
  return {
    prefix: options.prefix ?? '',
    ...(startAfter && options.startAfter !== undefined && { startAfter: options.startAfter }),
    ...(options.limit !== undefined && options.delimiter === undefined && { hint: options.limit }),
    signal,
  }
}

/** Yields keys that share the text up to the next slash after `prefix` as one entry, once. */
async function* fold(
  entries: AsyncIterable<Stat>,
  prefix: string,
  memory: number,
  operation: Operation,
): AsyncGenerator<Stat, void, void> {
  const seen = new Set<string>()
  for await (const entry of entries) {
    const slash = entry.key.indexOf('/', prefix.length)
    if (slash < 0) {
      yield entry
      continue
    }
    const key = entry.key.slice(0, slash + 1)
    if (seen.has(key)) continue
    // In sorted order, a finished prefix does not come again.
    if (memory === 1) seen.clear()
    else if (seen.size === memory) throw tooMany(memory, operation)
    seen.add(key)
    yield { key, size: -1 }
  }
}

async function* after(entries: AsyncIterable<Stat>, startAfter: string): AsyncGenerator<Stat, void, void> {
  for await (const entry of entries) if (compareKeys(entry.key, startAfter) > 0) yield entry
}

async function* sort(
  entries: AsyncIterable<Stat>,
  limit: number,
  operation: Operation,
): AsyncGenerator<Stat, void, void> {
  const held: Stat[] = []
  for await (const entry of entries) {
    if (held.length === limit) throw tooMany(limit, operation)
    held.push(entry)
  }
  yield* held.sort((a, b) => compareKeys(a.key, b.key))
}

function tooMany(limit: number, { at }: Operation): StorageError {
  const detail = `the driver does not sort, and there are more than ${limit} entries to hold in memory`
  return new StorageError('UNSUPPORTED', at, { detail })
}
