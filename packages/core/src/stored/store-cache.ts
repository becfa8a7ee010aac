import { types } from 'node:util'
import { type ErrorLocation, StorageError } from '../backend/error.ts'
import { describeType } from '../backend/options.ts'
import type { CacheEntry, CacheStats, EvictChoice } from '../ports/read-cache.ts'
import type { Services } from './services.ts'
import type { EvictResult } from './types.ts'

const NO_CACHE: CacheStats = { entries: 0, size: 0, maxSize: 0, hits: 0, misses: 0, bytes: 0 }

export async function cacheStats({ cache }: Services): Promise<CacheStats> {
  return cache ? cache.stats() : NO_CACHE
}

/** Removes entries by their place in the order, their size, or by a pattern that their id or one of their keys matches. */
export async function evict(services: Services, which: unknown, at: ErrorLocation): Promise<EvictResult> {
  const choice = choiceOf(services, which, at)
  return services.cache ? services.cache.evict(choice) : { entries: 0, bytes: 0 }
}

/** What `evict` would remove. */
export async function evictable(services: Services, which: unknown, at: ErrorLocation): Promise<readonly CacheEntry[]> {
  const choice = choiceOf(services, which, at)
  return services.cache ? services.cache.evictable(choice) : []
}

function choiceOf(services: Services, which: unknown, at: ErrorLocation): EvictChoice {
  if (which === 'oldest' || which === 'oversized') return which
  const matches = matcherOf(which, at)
  return async (id) => {
    if (matches(id)) return true
    const { index, ledger } = services
    for (let after: string | undefined; ; ) {
      const keys = await ledger.look((view) => index.keys(view, id, after === undefined ? {} : { after }))
      if (keys.some(matches)) return true
      after = keys.at(-1)
      if (after === undefined) return false
    }
  }
}

function matcherOf(pattern: unknown, at: ErrorLocation): (name: string) => boolean {
  if (typeof pattern === 'string' && pattern !== '') {
    const parts = pattern.split('*')
    return (name) => matchesGlob(name, parts)
  }
  if (types.isRegExp(pattern)) {
    // Those that search from where they last stopped would skip every other name.
    const expression = new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, ''))
    return (name) => expression.test(name)
  }
  const given = pattern === '' ? 'an empty string' : describeType(pattern)
  throw new StorageError('INVALID_ARGUMENT', at, {
    detail: `evict takes "oldest", "oversized", a pattern or a RegExp, not ${given}`,
  })
}

/** @param parts What stands between the stars. */
function matchesGlob(name: string, parts: readonly string[]): boolean {
  const [first = '', ...rest] = parts
  const last = rest.pop()
  if (last === undefined) return name === first
  if (!name.startsWith(first)) return false
  let position = first.length
  for (const part of rest) {
    const found = name.indexOf(part, position)
    if (found < 0) return false
    position = found + part.length
  }
  return name.length - last.length >= position && name.endsWith(last)
}
