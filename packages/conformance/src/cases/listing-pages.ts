import { all, type Ctx, capability, defineCases, rawOnly } from '../case.ts'
import { equal } from '../expect.ts'
import { inBatches } from './batches.ts'
import { byUtf8, numbered, putAll } from './listing.ts'

/** The page size of a service if the request gives none. */
const USUAL_PAGE = 1_000
/** The page size up to which profile quick lists several pages. */
const FEW = 250
const LIMIT = 10
const TIMEOUT_MS = 300_000

export const listingPages = defineCases('ls', {
  pages: {
    title: 'list of several pages yields each key once, and in order where that is declared',
    why: 'Between two pages a key is missed, or comes twice.',
    timeoutMs: TIMEOUT_MS,
    async run(t) {
      const names = await putPages(t)
      const seen = await namesIn(t, t.store.list({ prefix: t.scope }), names.length)
      equal(inOrder(t, seen), names, 'the list')
    },
  },
  'pages-deleted': {
    title: 'list of several pages, of which every second key is deleted as soon as it is listed, yields each once',
    why: 'Pages by offset skip as many keys as were deleted; a page that begins after a deleted key may not find its start.',
    since: '1.2',
    timeoutMs: TIMEOUT_MS,
    async run(t) {
      const names = await putPages(t)
      const seen = await namesIn(t, t.store.list({ prefix: t.scope }), names.length, deleteEverySecond(t))
      equal(inOrder(t, seen), names, 'the list')
      equal((await t.names()).length, Math.ceil(names.length / 2), 'the number of keys that are left')
    },
  },
  'pages-changed': {
    title:
      'list of several pages, while keys come, go and are overwritten, yields every other key once, and none twice',
    why: 'An empty page, or an overwritten blob that moves to the end, is normal in a store in use.',
    since: '1.2',
    timeoutMs: TIMEOUT_MS,
    async run(t) {
      const names = await putPages(t)
      const page = Math.round(names.length / 2.5)
      const gone = names.slice(page, 2 * page)
      const seen = await namesIn(t, t.store.list({ prefix: t.scope }), 2 * names.length, async (key, i) => {
        if (i === 0) await inBatches(t, gone, (name) => t.store.delete(t.key(name)))
        if (i % LIMIT === 0) await change(t, key, i)
      })
      const [twice, once] = [new Set<string>(), new Set<string>()]
      for (const name of seen) (once.has(name) ? twice : once).add(name)
      equal([...twice], [], 'the keys that came twice')
      const stayed = names.filter((name) => !gone.includes(name))
      equal(
        stayed.filter((name) => !once.has(name)),
        [],
        'the keys that stayed and were not listed',
      )
    },
  },
  resumed: {
    title: 'a listing that resumes after its last entry, though that was deleted, yields each key once',
    why: 'Callers page this way: a cursor must be a position among the keys, not one of them.',
    raw: true,
    needs: rawOnly(all(capability('startAfter'), capability('order'))),
    since: '1.2',
    async run(t) {
      const names = namesOfPages(2.5 * LIMIT)
      await putAll(t, names)
      const seen: string[] = []
      for (let page = await nextPage(t, ''); page.length > 0; page = await nextPage(t, seen.at(-1) ?? '')) {
        seen.push(...page)
        if (seen.length > names.length) break
        await t.store.delete(t.key(seen.at(-1) ?? ''))
      }
      equal(seen, names, 'all pages together')
      equal(await nextPage(t, names.at(-1) ?? ''), [], 'the page after the last key')
    },
  },
  hint: {
    title:
      'list of a driver that is told how many entries are likely read yields all of them, while every second is deleted',
    why: 'A hint taken for a limit ends a listing early; one taken for a page size makes page borders.',
    since: '1.2',
    async run(t) {
      const driver = await t.driver()
      for (const hint of [1, LIMIT, USUAL_PAGE]) {
        const names = namesOfPages(2.5 * LIMIT)
        await putAll(t, names)
        const entries = driver.list({ prefix: t.scope, hint, signal: t.signal })
        const seen = await namesIn(t, entries, names.length, deleteEverySecond(t))
        equal(inOrder(t, seen), names, `the list with hint ${hint}`)
      }
    },
  },
})

/** Puts enough keys for two and a half pages. @returns Their names, in order. */
async function putPages(t: Ctx): Promise<readonly string[]> {
  const { pageSize = USUAL_PAGE } = t.harness
  const count = Math.ceil(2.5 * pageSize)
  if (t.profile === 'quick' && count > FEW) t.skip(`profile full: pages of ${pageSize} entries take ${count} keys`)
  const names = namesOfPages(t.profile === 'quick' ? count : Math.max(count, 2.5 * USUAL_PAGE))
  await inBatches(t, names, (name) => t.store.put(t.key(name), t.bytes(10), { size: 10 }))
  return names
}

/**
 * Names in the order of their UTF-8 bytes, which differs from that of their UTF-16 units: the first page ends among
 * those with U+FF5E, and those with an emoji come after it. Every second name extends the one before it, on both sides
 * of some page border.
 */
function namesOfPages(count: number): readonly string[] {
  const initials = ['a', '\uff5e', '\uff5e', '😀', '😀']
  return numbered(count).map((_, i) => {
    const pair = String((i + 1) >> 1).padStart(6, '0')
    return `${initials[Math.floor((5 * i) / count)]}${pair}${i % 2 === 0 ? '+' : ''}`
  })
}

/** The listed names; of an endless listing, one more than `most`. `onKey` is called between entries. */
async function namesIn(
  t: Ctx,
  entries: AsyncIterable<{ key: string }>,
  most: number,
  onKey: (key: string, index: number) => Promise<void> = async () => {},
): Promise<string[]> {
  const names: string[] = []
  for await (const { key } of first(most + 1, entries)) {
    await onKey(key, names.length)
    names.push(key.slice(t.scope.length))
  }
  return names
}

function deleteEverySecond(t: Ctx): (key: string, index: number) => Promise<void> {
  return async (key, i) => {
    if (i % 2 === 1) await t.store.delete(key)
  }
}

/** Overwrites the key just listed, and puts one key before and one after it. */
async function change(t: Ctx, key: string, i: number): Promise<void> {
  const [before, after] = [t.key(`0-${i}`), `${key}~`]
  for (const changed of [key, before, after]) await t.store.put(changed, t.bytes(20, 2), { size: 20 })
}

/** Unchanged if the driver declares an order. */
function inOrder(t: Ctx, names: readonly string[]): readonly string[] {
  return t.capabilities.order ? names : [...names].sort(byUtf8)
}

/** The next names after one, as callers get them. */
async function nextPage(t: Ctx, name: string): Promise<string[]> {
  const after = { prefix: t.scope, startAfter: t.key(name) }
  const entries = t.view === 'raw' ? t.store.list(after) : t.guard.list({ ...after, limit: LIMIT, sorted: true })
  return namesIn(t, first(LIMIT, entries), LIMIT)
}

async function* first<T>(count: number, entries: AsyncIterable<T>): AsyncGenerator<T, void, void> {
  let passed = 0
  for await (const entry of entries) {
    yield entry
    passed += 1
    if (passed === count) return
  }
}
