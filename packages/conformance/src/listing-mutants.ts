import { compareKeys, type ListOptions, type Stat, type StorageBackend } from '@stored/core/backend'
import type { DriverMutant } from './driver-mutant.ts'

/** Faults of listings. Those that list in pages take this many entries at a time. */
export function listingMutants(pageSize: number): readonly DriverMutant[] {
  const of = (name: string, fault: string, change: DriverMutant['change'], killedBy: readonly string[]) =>
    ({ name, fault, killedBy, pageSize, change }) satisfies DriverMutant
  return [
    of(
      'counts-off-pages',
      'a page begins after as many entries as were listed',
      inPages(pageSize, (all, _, count) => all.slice(count)),
      ['ls.pages-deleted', 'ls.pages-changed', 'ls.hint'],
    ),
    of(
      'ends-at-deleted',
      'a page begins at the last key, and there is none where that was deleted',
      inPages(pageSize, afterFound),
      ['ls.pages-deleted', 'ls.hint'],
    ),
    of('inclusive-border', 'a page begins with the last key of the one before', inPages(pageSize, from), [
      'ls.pages',
      'ls.hint',
    ]),
    of(
      'repeats-page',
      'every page is the first one',
      inPages(pageSize, (all) => all),
      ['ls.pages', 'ls.hint'],
    ),
    of('utf16-border', 'a page begins after the last key in the order of UTF-16', inPages(pageSize, afterInUtf16), [
      'ls.pages',
    ]),
    of('skips-below-border', 'a page leaves out what begins with the last key', inPages(pageSize, afterAllBelow), [
      'ls.pages',
    ]),
    of('ends-at-short-page', 'a page of which some are gone is taken for the last', endingAtShortPage(pageSize), [
      'ls.pages-changed',
    ]),
    of('overwritten-comes-again', 'list goes by the time of the last change', byChange(pageSize), ['ls.pages-changed']),
    of('hint-as-limit', 'the hint is taken for a limit', limitedByHint, ['ls.hint']),
    of('after-replaces-prefix', 'a listing with a cursor begins there, also before its prefix', listing(fromCursor), [
      'ls.after-prefix',
    ]),
    of('after-before-prefix', 'a listing that has to begin before its prefix is empty', listing(whilePrefix), [
      'ls.after-prefix',
    ]),
    of('after-has-to-exist', 'a cursor that is no key lists nothing', listing(afterExisting), [
      'ls.after',
      'ls.resumed',
    ]),
    of('like-prefix', 'a prefix is a pattern of LIKE', listing(patterned({ _: '.', '%': '.*' }, 'isu')), [
      'ls.prefix-pattern',
    ]),
    of('glob-prefix', 'a prefix is a pattern of GLOB', listing(patterned(GLOB, 'su')), ['ls.prefix-pattern']),
    of('prefix-up-to-ffff', 'a prefix is a range that ends at U+FFFF', listing(upToFfff), ['ls.prefix-utf8']),
  ]
}

const GLOB = { '?': '.', '*': '.*', '[': '[', ']': ']' }

/** The driver's entries in and beside the directory of the prefix, in order, as a fault lists them. */
function listing(listed: (all: readonly Stat[], options: ListOptions) => readonly Stat[]): DriverMutant['change'] {
  return (driver) => ({
    async *list(options) {
      yield* listed(await everything(driver, around(options)), options)
    },
  })
}

/** The rest of a listing after the last entry of the previous page and this many entries in total. */
type Rest = (all: readonly Stat[], last: Stat | undefined, count: number) => readonly Stat[]

/** A listing in pages, each of them of the current state. */
function inPages(pageSize: number, rest: Rest): DriverMutant['change'] {
  return (driver) => ({
    async *list(options) {
      const size = options.hint ?? pageSize
      let [page, count]: [readonly Stat[], number] = [[], 0]
      do {
        page = rest(await everything(driver, options), page.at(-1), count).slice(0, size)
        count += page.length
        yield* page
      } while (page.length === size)
    },
  })
}

async function everything(driver: StorageBackend, { hint: _, ...options }: ListOptions): Promise<readonly Stat[]> {
  const stats = await Array.fromAsync(driver.list(options))
  return stats.sort((a, b) => compareKeys(a.key, b.key))
}

/** What is in the directory of the prefix and in those beside it: the least that a fault needs to see. */
function around({ prefix, signal }: ListOptions): ListOptions {
  const directory = /^(?:.*\/)?(?=[^/]+\/?$)/.exec(prefix)?.[0] ?? ''
  return { prefix: directory, signal }
}

function afterFound(all: readonly Stat[], last: Stat | undefined): readonly Stat[] {
  if (last === undefined) return all
  const at = all.findIndex(({ key }) => key === last.key)
  return at < 0 ? [] : all.slice(at + 1)
}

function from(all: readonly Stat[], last: Stat | undefined): readonly Stat[] {
  return all.filter(({ key }) => last === undefined || compareKeys(key, last.key) >= 0)
}

function afterInUtf16(all: readonly Stat[], last: Stat | undefined): readonly Stat[] {
  return all.filter(({ key }) => last === undefined || key > last.key)
}

function afterAllBelow(all: readonly Stat[], last: Stat | undefined): readonly Stat[] {
  return from(all, last).filter(({ key }) => last === undefined || !key.startsWith(last.key))
}

function fromCursor(all: readonly Stat[], { prefix, startAfter }: ListOptions): readonly Stat[] {
  if (startAfter === undefined) return all.filter(({ key }) => key.startsWith(prefix))
  return all.filter(({ key }) => compareKeys(key, startAfter) > 0 && (key < prefix || key.startsWith(prefix)))
}

/** From the cursor to the first key without the prefix. */
function whilePrefix(all: readonly Stat[], { prefix, startAfter = prefix }: ListOptions): readonly Stat[] {
  const rest = all.filter(({ key }) => key === prefix || compareKeys(key, startAfter) > 0)
  const end = rest.findIndex(({ key }) => !key.startsWith(prefix))
  return end < 0 ? rest : rest.slice(0, end)
}

function afterExisting(all: readonly Stat[], { prefix, startAfter }: ListOptions): readonly Stat[] {
  const below = all.filter(({ key }) => key.startsWith(prefix))
  const at = below.findIndex(({ key }) => key === startAfter)
  return startAfter !== undefined && compareKeys(startAfter, prefix) > 0 && at < 0 ? [] : below.slice(at + 1)
}

function upToFfff(all: readonly Stat[], { prefix, startAfter = '' }: ListOptions): readonly Stat[] {
  const below = all.filter(({ key }) => key.startsWith(prefix) && compareKeys(key, `${prefix}\uffff`) < 0)
  return below.filter(({ key }) => compareKeys(key, startAfter) > 0)
}

/** @param wildcards Their equivalents in a regular expression. */
function patterned(wildcards: Readonly<Record<string, string>>, flags: string) {
  return (all: readonly Stat[], { prefix, startAfter = '' }: ListOptions): readonly Stat[] => {
    const source = prefix.replaceAll(
      /[^\w/]|_/gu,
      (c) => wildcards[c] ?? (/[\^$\\.*+?()[\]{}|]/.test(c) ? `\\${c}` : c),
    )
    const pattern = new RegExp(`^${source}`, flags)
    return all.filter(({ key }) => pattern.test(key) && compareKeys(key, startAfter) > 0)
  }
}

function limitedByHint(driver: StorageBackend): Partial<StorageBackend> {
  return {
    async *list(options) {
      let left = options.hint ?? Number.POSITIVE_INFINITY
      for await (const entry of driver.list(options)) {
        yield entry
        left -= 1
        if (left === 0) return
      }
    },
  }
}

/** Checks each entry when its page arrives. */
function endingAtShortPage(pageSize: number): DriverMutant['change'] {
  return (driver) => ({
    async *list(options) {
      const all = await everything(driver, options)
      for (let at = 0; at < all.length; at += pageSize) {
        const looks = all.slice(at, at + pageSize).map(({ key }) => driver.stat(key, options))
        const page = (await Promise.all(looks)).filter((stat) => stat !== null)
        yield* page
        if (page.length < pageSize) return
      }
    },
  })
}

/** When each key was written last, through any instance: the clocks of media are too coarse. */
const changes = new Map<string, number>()
let change = 0

function byChange(pageSize: number): DriverMutant['change'] {
  const changeOf = ({ key }: Stat): number => changes.get(key) ?? 0
  return (driver) => ({
    async put(key, body, options) {
      const stat = await driver.put(key, body, options)
      change += 1
      changes.set(key, change)
      return stat
    },
    async *list(options) {
      let [page, last]: [Stat[], number] = [[], 0]
      do {
        const later = (await everything(driver, options)).filter((stat) => changeOf(stat) > last)
        page = later.sort((a, b) => changeOf(a) - changeOf(b)).slice(0, pageSize)
        last = Math.max(last, ...page.map(changeOf))
        yield* page
      } while (page.length === pageSize)
    },
  })
}
