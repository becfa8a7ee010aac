import { compareKeys, type LogEvent } from '@stored/core/backend'
import { all, type Ctx, capability, defineCases, hook, outOfProcess, outsider, rawOnly } from '../case.ts'
import { check, equal, eventually, rejects, started, within } from '../expect.ts'
import { staysSmall, watchMemory } from '../memory.ts'
import { openFiles } from '../resources.ts'
import { halved } from '../source.ts'

const SAMPLE = ['foo/x', 'foo/y', 'fob', 'foo', 'bar', 'foo.bar/z']
/** Each matches another if its characters were wildcards. */
const PATTERNS = ['a_b', 'axb', 'A_b', 'ab', 'a%b', 'a*b', 'a?b', 'a[x]b', 'a.b', 'a\\_b', 'bab']
const BEYOND_ASCII = [
  ...['p', 'p\uff5e', 'p😀', 'p😀z', 'q', '\u043f', '\u043fz', '\u0440', '\u0436', '\u0436z', '\u0437'],
  ...['\uff5e', '\uff5ez', '😀', '😀😀', '😿', '😿z', '🙀'],
]
const ABORT_MS = 1_000
const RELEASE_MS = 300

export const listing = defineCases('ls', {
  empty: {
    title: 'list of nothing yields nothing',
    why: 'A directory that was never created is an empty one.',
    raw: true,
    async run(t) {
      equal(await t.names(), [], 'the list')
    },
  },
  all: {
    title: 'list yields every key once, with the size that stat gives',
    why: 'A scan that misses a blob reports it as lost.',
    raw: true,
    async run(t) {
      const names = await putSample(t)
      const sizes: [string, number][] = []
      for await (const { key, size } of t.store.list({ prefix: t.scope })) sizes.push([key, size])
      const expected = await Promise.all(
        names.map(async (name) => [t.key(name), (await t.store.stat(t.key(name)))?.size]),
      )
      equal(sizes.sort(), expected.sort(), 'the list with sizes')
    },
  },
  'prefix-string': {
    title: 'list of `fo` yields `foo/x` and `fob`',
    why: 'A prefix is a string, not a directory: half a name is one too.',
    raw: true,
    async run(t) {
      await putAll(t, ['foo/x', 'fob', 'bar'])
      equal((await t.names('fo')).sort(), ['fob', 'foo/x'], 'the list of `fo`')
      equal((await t.names('foo/x')).sort(), ['foo/x'], 'the list of `foo/x`')
    },
  },
  'prefix-is-key': {
    title: 'list of a prefix that is a key yields that key',
    why: 'A prefix taken for a directory leaves out the blob of the same name.',
    async run(t) {
      await putAll(t, ['key', 'key2', 'ke'])
      equal((await t.names('key')).sort(), ['key', 'key2'], 'the list of `key`')
    },
  },
  'prefix-none': {
    title: 'list of a prefix that nothing has yields nothing',
    why: 'An empty result is not an error.',
    async run(t) {
      await putAll(t, ['foo/x'])
      for (const prefix of ['fooo', 'foo/x/', 'foo/xx', 'no/such/place/'])
        equal(await t.names(prefix), [], `the list of ${prefix}`)
    },
  },
  'prefix-escaped': {
    title: 'list of a prefix with characters that a codec escapes yields what begins with them',
    why: 'A prefix escaped differently from the keys matches nothing, or too much.',
    async run(t) {
      for (const c of ['%', ':', '*', '?', '"', '<', '|', '\\', ' ', '.', '#', '😀', '%2F']) {
        await putAll(t, [`p${c}/x`, `p${c}y`])
        equal((await t.names(`p${c}`)).sort(), [`p${c}/x`, `p${c}y`].sort(), `the list of ${JSON.stringify(`p${c}`)}`)
        equal(await t.names(`p${c}/`), [`p${c}/x`], `the list of ${JSON.stringify(`p${c}/`)}`)
        for (const name of [`p${c}/x`, `p${c}y`]) await t.store.delete(t.key(name))
      }
    },
  },
  'prefix-pattern': {
    title:
      'list of a prefix with characters that a pattern is made of yields what begins with them, and nothing that is like it',
    why: 'With LIKE `a_` also matches `axb` and `A_b`, with GLOB `a*` matches everything: what is listed is deleted, or copied.',
    raw: true,
    since: '1.2',
    async run(t) {
      const names = PATTERNS.filter((name) => name !== 'A_b' || t.capabilities.keys?.caseSensitive !== false)
      await putAll(t, names)
      for (const prefix of [
        'a_',
        'a_b',
        'a%',
        'a*',
        'a?',
        'a[x]',
        'a.',
        'a\\_',
        '_',
        '%',
        '*',
        '?',
        '[a]',
        '.*',
        '^a',
        '(a|b)',
      ])
        equal(
          (await t.names(prefix)).sort(),
          names.filter((name) => name.startsWith(prefix)).sort(),
          `the list of ${JSON.stringify(prefix)}`,
        )
    },
  },
  'prefix-utf8': {
    title: 'list of a prefix beyond ASCII yields every key that begins with it, and none of its neighbours',
    why: 'A range that ends at the prefix plus U+FFFF ends before its emoji; an incremented last byte is another character.',
    raw: true,
    since: '1.2',
    async run(t) {
      await putAll(t, BEYOND_ASCII)
      for (const prefix of ['\u043f', '\u0436', '\uff5e', '😀', '😿', 'p', 'p\uff5e', 'p😀', '😀😀', '\u0437'])
        equal(
          (await t.names(prefix)).sort(byUtf8),
          BEYOND_ASCII.filter((name) => name.startsWith(prefix)).sort(byUtf8),
          `the list of ${JSON.stringify(prefix)}`,
        )
    },
  },
  order: {
    title: 'list yields keys in the order of their UTF-8 bytes',
    why: 'Two listings are compared by walking both: one key out of place reads as one deleted and one new.',
    raw: true,
    declare: 'no order',
    needs: capability('order'),
    proves: ['order'],
    async run(t) {
      const names = ['t-/x', 't.', 't/x', 't0', 't.a/x', 'a', 'Z', '\uff5e', '😀', 'é', 'e/😀', '~']
      await putAll(t, names)
      equal(await t.names(), [...names].sort(byUtf8), 'the list')
    },
  },
  limit: {
    title: 'list with a limit yields that many entries and then ends',
    why: 'A limit taken for a hint returns a page of any size.',
    async run(t) {
      await putAll(t, numbered(7))
      for (const limit of [1, 3, 7, 20]) {
        const keys = await keysOf(t.guard.list({ prefix: t.scope, limit }))
        equal(keys.length, Math.min(limit, 7), `the number of entries with limit ${limit}`)
      }
    },
  },
  after: {
    title: 'list after a key yields what sorts after it, whether it exists or not',
    why: 'A listing that starts at its cursor never ends.',
    raw: true,
    needs: rawOnly(capability('startAfter')),
    proves: ['startAfter'],
    async run(t) {
      await putAll(t, ['a', 'b', 'bb/c', 'c', '\uff5e', '😀'])
      for (const cursor of ['', 'a', 'aa', 'b', 'b.', 'bb/c', '\uff5e', '😀', '\u{1f601}']) {
        const expected = ['a', 'b', 'bb/c', 'c', '\uff5e', '😀'].filter((name) => byUtf8(name, cursor) > 0)
        const keys = await keysOf(t.store.list({ prefix: t.scope, startAfter: t.key(cursor) }))
        equal(
          keys.sort(byUtf8),
          expected.map((name) => t.key(name)),
          `the list after ${JSON.stringify(cursor)}`,
        )
      }
    },
  },
  'after-prefix': {
    title: 'list of a prefix after a key yields what has the prefix and sorts after the key',
    why: 'A cursor outside the prefix lists the neighbours, or nothing.',
    raw: true,
    needs: rawOnly(capability('startAfter')),
    async run(t) {
      await putAll(t, ['a/1', 'b/1', 'b/2', 'b/3', 'c/1'])
      for (const [cursor, expected] of [
        ['a', ['b/1', 'b/2', 'b/3']],
        ['a/1', ['b/1', 'b/2', 'b/3']],
        ['b', ['b/1', 'b/2', 'b/3']],
        ['b/1', ['b/2', 'b/3']],
        ['b/3', []],
        ['c', []],
      ] as const)
        equal(
          (await keysOf(t.store.list({ prefix: t.key('b/'), startAfter: t.key(cursor) }))).sort(),
          expected.map((name) => t.key(name)),
          `the list of \`b/\` after ${cursor}`,
        )
    },
  },
  delimiter: {
    title: 'list with a delimiter yields each common prefix once, of size -1, and the keys beside them',
    why: 'This is how a tree is browsed level by level.',
    async run(t) {
      await putAll(t, ['a/1', 'a/2', 'a/b/3', 'b', 'c/1', 'c.d'])
      equal(
        await folded(t, ''),
        [
          ['a/', -1],
          ['b', 10],
          ['c.d', 10],
          ['c/', -1],
        ],
        'the top level',
      )
      equal(
        await folded(t, 'a/'),
        [
          ['a/1', 10],
          ['a/2', 10],
          ['a/b/', -1],
        ],
        'the level of `a/`',
      )
    },
  },
  strong: {
    title: 'a blob is listed as soon as its put resolved, and no longer as soon as its delete did',
    why: 'A scan right after a write would report the blob as lost.',
    async run(t) {
      const other = await t.open()
      for (const name of numbered(10)) {
        await t.store.put(t.key(name), t.bytes(10))
        check((await t.names('', other)).includes(name), `list yields ${name} right after its put`)
        await t.store.delete(t.key(name))
        equal(await t.names('', other), [], `the list right after ${name} was deleted`)
      }
      if (t.harness.outsider === undefined) return
      await t.harness.outsider.write(t.key('foreign'), t.bytes(10))
      equal(await t.names(), ['foreign'], 'the list after someone else wrote')
      await t.holds(t.key('foreign'), t.bytes(10))
    },
  },
  'no-temp': {
    title: 'list during a put yields neither the key nor a temporary name',
    why: 'What is listed is adopted, copied and indexed: half a blob under a name that soon disappears.',
    async run(t) {
      await t.store.put(t.key('before'), t.bytes(10))
      const everywhere = { prefix: t.harness.shared ? t.scope : '' }
      const known = new Set(await keysOf(t.store.list(everywhere)))
      const source = halved(t.bytes(200_000))
      const put = started(t.store.put(t.key('dir/blob'), source, { size: source.size }))
      await source.reachedBy(put)
      equal(await t.names(), ['before'], 'the list of the scope during the put')
      const appeared = (await keysOf(t.store.list(everywhere))).filter((key) => !known.has(key))
      equal(appeared, [], 'what appeared in the list of everything')
      source.release()
      await put
      equal((await t.names()).sort(), ['before', 'dir/blob'], 'the list after the put')
    },
  },
  'no-dirs': {
    title: 'empty directories and directory markers are not listed',
    why: 'A listed directory is fetched, and that fails.',
    async run(t) {
      await t.store.put(t.key('dir/blob'), t.bytes(10))
      await t.store.delete(t.key('dir/blob'))
      await t.harness.outsider?.mkdir?.(t.key('empty'))
      equal(await t.names(), [], 'the list')
    },
  },
  'foreign-name': {
    title:
      'a name that is not UTF-8 is left out, with a warning in the log, and the rest listed, also a key that reads like it',
    why: 'Two such names decode to the same string: one bad name would end the scan of a million, or pass for the blob beside it.',
    needs: all(hook('outsider'), outsider('undecodable')),
    async run(t) {
      const twin = '\ufffd\ufffd'
      await putAll(t, ['a', 'z', twin])
      await t.harness.outsider?.undecodable?.(t.scope)
      const logged: LogEvent[] = []
      const guard = t.wrap(await t.harness.open(), { log: (event) => logged.push(event) })
      equal((await t.names('', guard)).sort(), ['a', 'z', twin], 'the list')
      equal(logged.filter(({ level }) => level === 'warn').length, 1, 'the number of warnings in the log')
      const [listed] = await Array.fromAsync(guard.list({ prefix: t.key(twin) }))
      equal(listed?.size, (await guard.stat(t.key(twin)))?.size, 'the size of the blob whose key reads like it')
    },
  },
  break: {
    title: 'a listing abandoned after its first entry frees what it held',
    why: 'A directory or connection left open by each listing ends in EMFILE.',
    async run(t) {
      await putAll(
        t,
        numbered(20).map((name) => `${name}/blob`),
      )
      await keepsNothingOpen(async () => {
        for await (const _ of t.store.list({ prefix: t.scope })) break
      })
    },
  },
  abort: {
    title: 'a listing aborted half-way rejects with ABORTED within a second',
    why: 'A scan of millions must stop when its program does.',
    async run(t) {
      await putAll(t, numbered(50))
      const abort = new AbortController()
      const entries = t.store.list({ prefix: t.scope, signal: abort.signal })[Symbol.asyncIterator]()
      await entries.next()
      abort.abort(new Error('enough'))
      const rest = async () => {
        while (!(await entries.next()).done);
      }
      await within(rejects(rest(), 'ABORTED', 'the listing after the abort'), ABORT_MS, 'the aborted listing')
    },
  },
  mutating: {
    title: 'a listing during which keys come and go yields every other key once, and does not fail',
    why: 'A live store is always changing; a scan that fails on the first vanished file never finishes.',
    async run(t) {
      const stay = numbered(40).map((name) => `${name}/stay`)
      await putAll(t, [...stay, ...numbered(40).map((name) => `${name}/gone`)])
      const seen: string[] = []
      for await (const { key } of t.store.list({ prefix: t.scope })) {
        seen.push(key)
        const name = numbered(40)[seen.length - 1]
        if (name === undefined) continue
        await t.store.delete(t.key(`${name}/gone`))
        await t.store.put(t.key(`${name}/new`), t.bytes(10))
      }
      equal(seen.length, new Set(seen).size, 'the number of entries and of different keys')
      equal(
        seen.filter((key) => key.endsWith('/stay')).sort(),
        stay.map((name) => t.key(name)),
        'the keys that stayed',
      )
    },
  },
  interleaved: {
    title: 'two listings read alternately both yield everything',
    why: 'Both move a cursor that is kept in the instance.',
    async run(t) {
      const names = numbered(20)
      await putAll(t, names)
      const iterators = [0, 1].map(() => t.store.list({ prefix: t.scope })[Symbol.asyncIterator]())
      const seen: string[][] = [[], []]
      for (let i = 0; i <= names.length; i++)
        for (const [which, iterator] of iterators.entries()) {
          const { done, value } = await iterator.next()
          if (!done) seen[which]?.push(value.key.slice(t.scope.length))
        }
      for (const list of seen) equal(list.sort(), names, 'each of both lists')
    },
  },
  lazy: {
    title: 'list of 100,000 keys yields its first before its last, in bounded memory',
    why: 'A listing collected before it is returned does not fit in memory, and is silent for minutes.',
    profile: 'soak',
    needs: outOfProcess,
    async run(t) {
      const names = numbered(100_000)
      for (let at = 0; at < names.length; at += 64)
        await Promise.all(names.slice(at, at + 64).map((name) => t.store.put(t.key(name), t.bytes(1))))
      const memory = watchMemory(t)
      const began = performance.now()
      let [count, first] = [0, 0]
      const seen = new Set<number>()
      for await (const { key } of t.store.list({ prefix: t.scope })) {
        first ||= performance.now() - began
        seen.add(Number(key.slice(t.scope.length)))
        count += 1
      }
      memory.look()
      equal([count, seen.size], [names.length, names.length], 'the number of entries, and of different ones')
      check(first < (performance.now() - began) / 2, 'the first entry comes in the first half of the time')
      staysSmall(memory)
    },
  },
})

/** Repeats `use` and expects that the number of open files and sockets does not grow with it. */
export async function keepsNothingOpen(use: () => Promise<void>): Promise<void> {
  const times = 20
  await use() // opens what is kept on purpose: a connection pool
  const before = openFiles()
  for (let i = 0; i < times; i++) await use()
  // Not for long: eventually the garbage collector closes what was forgotten.
  await eventually(
    () => openFiles() < before + times / 2,
    RELEASE_MS,
    `fewer than ${times / 2} of ${times} uses leave something open`,
  )
}

export function byUtf8(a: string, b: string): number {
  return compareKeys(a, b)
}

/** Names of equal length, in order. */
export function numbered(count: number): string[] {
  return Array.from({ length: count }, (_, i) => String(i).padStart(6, '0'))
}

export async function putAll(t: Ctx, names: readonly string[]): Promise<void> {
  for (const name of names) await t.store.put(t.key(name), t.bytes(10), { size: 10 })
}

async function putSample(t: Ctx): Promise<string[]> {
  const names = t.capabilities.keys?.fileAndPrefix === false ? SAMPLE.filter((name) => name !== 'foo') : SAMPLE
  for (const [i, name] of names.entries()) await t.store.put(t.key(name), t.bytes(i * 10), { size: i * 10 })
  return [...names]
}

async function keysOf(entries: AsyncIterable<{ key: string }>): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of entries) keys.push(key)
  return keys
}

async function folded(t: Ctx, prefix: string): Promise<[string, number][]> {
  const level: [string, number][] = []
  for await (const { key, size } of t.guard.list({ prefix: t.key(prefix), delimiter: '/' }))
    level.push([key.slice(t.scope.length), size])
  return level.sort(([a], [b]) => byUtf8(a, b))
}
