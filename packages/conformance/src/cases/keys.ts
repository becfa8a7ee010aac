import { type Capabilities, keyFault, MAX_KEY_BYTES } from '@stored/core/backend'
import { type Ctx, defineCases } from '../case.ts'
import { check, checkCode, equal, rejects, sameBytes, settle } from '../expect.ts'
import type { Harness } from '../harness.ts'
import { randomFrom } from '../payload.ts'
import { HeldSource } from '../source.ts'
import type { Subject } from '../subject.ts'
import { inBatches } from './batches.ts'

const KEYS_ARE_EXACT = 'A key that is rewritten merges two blobs, or is not found under the name it was given.'
/** A blob for each key; small, since only the names matter. */
const BLOB_BYTES = 48
/** For hundreds of names with several requests each. */
const NAMES_MS = 120_000

export const keys = defineCases('key', {
  punct: exact(
    'ASCII punctuation',
    [...'!"#$%&\'()*+,-.:;<=>?@[]^_{|}~`'].flatMap((c) => [`a${c}b`, `${c}${c}${c}`]),
  ),
  spaces: exact('spaces at either end and doubled', [' a', 'a ', 'a  b', ' ', 'a /b', ' /b']),
  percent: exact('percent signs, which are never decoded', ['a%2Fb', '100%', '%41', '%zz', '%', '%25', 'a%00b']),
  url: exact('what has a meaning in URLs', ['a?b=c', 'a#b', 'a&b', 'a+b', 'a=b', 'a;b', 'a@b', 'http:x']),
  backslash: exact('a backslash, which is no slash', ['a\\b', 'a/b', '\\', 'a\\']),
  colon: exact('colons', ['a:b', 'C:x', ':', 'a:$DATA']),
  glob: exact('what has a meaning in patterns', ['*', 'a*', 'a?', '[ab]', 'a', 'b', 'ab', '{a,b}', '!a']),
  shell: exact('what has a meaning in shells', ['$(x)', '`x`', '-rf', '~', '~root', '|x', '>x', "'", '"', '$HOME']),
  unicode: exact('CJK, astral, joined and right-to-left characters', [
    '日本語',
    '😀',
    '👩‍👩‍👧',
    'שלום',
    'مرحبا',
    '\u00a0',
    '\ufeffx',
  ]),
  'nfc-nfd': {
    title: 'keys that differ only in Unicode normalization are two keys, or the second is KEY_CONFLICT',
    why: 'macOS and some clients treat both as one name: the second put would overwrite the first.',
    declare: 'keys.normalizes: true',
    run: (t) => twins(t, 'caf\u00e9', 'cafe\u0301', t.capabilities.keys?.normalizes === true),
  },
  case: {
    title: 'keys that differ only in case are two keys, or the second is KEY_CONFLICT',
    why: 'On a volume that ignores case the second put would overwrite the first.',
    declare: 'keys.caseSensitive: false',
    run: (t) => twins(t, 'Ab', 'aB', t.capabilities.keys?.caseSensitive === false),
  },
  lookalike: exact('characters that look alike', ['a:b', 'a：b', '␀', '‛', '‛‛', '．．', '．', 'a‛b', 'ａ', '／', '␉']),
  dots: exact('dots', ['.hidden', 'a.', 'a..b', '...', '..a', 'a/.b', 'a/...', '.a./b', 'a..']),
  windows: exact('what is reserved on Windows', ['CON', 'aux.txt', 'LPT1', 'nul', 'con/x', 'COM1.tar.gz', 'PRN ']),
  deep: exact('60 segments', [Array.from({ length: 60 }, (_, i) => `d${i}`).join('/')]),
  segment255: {
    title: 'a segment of 255 bytes is held, or refused with INVALID_KEY before the body is read',
    why: 'Temporary names made from the key and a suffix break exactly here, and only for long names.',
    declare: 'keys.maxSegmentBytes',
    async run(t) {
      for (const [name, bytes] of Object.entries({
        ['a'.repeat(255)]: 255,
        ['é'.repeat(127)]: 254,
        ['b'.repeat(300)]: 300,
      }))
        await heldOrRefused(t, name, bytes <= (t.capabilities.keys?.maxSegmentBytes ?? Number.POSITIVE_INFINITY))
    },
  },
  max1024: {
    title: 'a key of 1,024 bytes is held, and one of 1,025 rejects with INVALID_KEY',
    why: 'The limit is that of S3; a store that holds less must say so before it fails.',
    declare: 'keys.maxBytes',
    async run(t) {
      const name = longName(MAX_KEY_BYTES - t.scope.length)
      await heldOrRefused(t, name, (t.capabilities.keys?.maxBytes ?? MAX_KEY_BYTES) >= MAX_KEY_BYTES)
      await rejects(t.store.put(`${t.key(name)}x`, t.bytes(1)), 'INVALID_KEY', 'put of a key of 1,025 bytes')
    },
  },
  refused: {
    title: 'a name that the medium refuses rejects with INVALID_KEY wherever it is in a key, and harms no other key',
    why: 'One bad name that looks like an outage keeps all other blobs from a healthy medium.',
    declare: 'keys.maxSegmentBytes',
    needs: (capabilities, harness) =>
      refusedBy(capabilities, harness).length > 0 ? true : 'neither a declared limit nor the harness names one',
    async run(t) {
      await t.store.put(t.key('dir/before'), t.bytes(BLOB_BYTES, 1))
      for (const name of refusedBy(t.capabilities, t.harness))
        for (const key of [t.key(name), t.key(`dir/${name}`), t.key(`dir/${name}/below`)]) await isRefused(t, key)
      await t.clean()
      await t.store.put(t.key('dir/after'), t.bytes(BLOB_BYTES, 2))
      await t.holds(t.key('dir/after'), t.bytes(BLOB_BYTES, 2))
      await t.holds(t.key('dir/before'), t.bytes(BLOB_BYTES, 1))
      equal((await t.names()).sort(), ['dir/after', 'dir/before'], 'the list')
    },
  },
  'file-and-prefix': {
    title: '`p` and `p/q` are two keys in either order, or the second is KEY_CONFLICT and the first stays',
    why: 'A file is not a directory: the failure differs between systems unless the driver maps it.',
    declare: 'keys.fileAndPrefix: false',
    async run(t) {
      const clash = t.capabilities.keys?.fileAndPrefix === false
      await twins(t, 'down', 'down/under', clash)
      await twins(t, 'up/over', 'up', clash)
    },
  },
  siblings: {
    title: 'list of `foo/` yields `foo/x` and neither `foo.bar/y` nor `foo0`',
    why: 'A prefix compared without its slash lists the neighbours.',
    async run(t) {
      await putAll(t, ['foo/x', 'foo.bar/y', 'foo0'])
      equal(await t.names('foo/'), ['foo/x'], 'the list of `foo/`')
    },
  },
  'escape-twin': exact('characters beside their escaped forms', escapeTwins()),
  codec: {
    title: 'random keys are each listed and read under their own name',
    why: 'An irreversible escape shows only for a few names among thousands.',
    timeoutMs: NAMES_MS,
    run: (t) => exactly(t, randomNames(t, t.profile === 'quick' ? 100 : 1_000)),
  },
  reject: {
    title: 'an invalid key rejects with INVALID_KEY before the driver is called',
    why: 'Keys that climb, end or begin elsewhere mean something different to each medium.',
    run: (t) => refusedBeforeCall(t, REJECTED),
  },
  surrogate: {
    title: 'half of a surrogate pair rejects with INVALID_KEY before the driver is called',
    why: 'Two different halves encode to the same bytes, so two keys would be one.',
    run: (t) => refusedBeforeCall(t, [`${t.scope}\ud800`, `${t.scope}\udc00x`, `${t.scope}\ud83d`]),
  },
  reserved: {
    title: 'a key below `.stored/` rejects with INVALID_KEY before the driver is called',
    why: 'It would collide with the files that the driver keeps for itself.',
    run: (t) => refusedBeforeCall(t, ['.stored/x', '.stored/tmp/x']),
  },
})

const REJECTED: readonly unknown[] = [
  ...['', '/', '/a', 'a/', 'a//b', '.', '..', './a', 'a/.', 'a/../b', '../a', 'a\0b', 'a\nb', 'a\x7fb', 'a\x1fb'],
  ...[undefined, null, 1, {}, ['a']],
]

function exact(title: string, names: readonly string[]) {
  return {
    title: `keys with ${title} are held exactly as given`,
    why: KEYS_ARE_EXACT,
    timeoutMs: NAMES_MS,
    run: (t: Ctx) => exactly(t, names),
  }
}

/**
 * Stores a blob under each name and expects every one under its own name, from another instance too, until it is
 * deleted.
 */
async function exactly(t: Ctx, names: readonly string[]): Promise<void> {
  const held = coexisting(t, names)
  await putAll(t, held)
  const other = await t.open()
  for (const view of [t.store, other])
    equal((await t.names('', view)).sort(), [...held].sort(), 'the list of all names')
  await inBatches(t, held, async (name, i) => {
    await t.holds(t.key(name), t.bytes(BLOB_BYTES, i + 1))
    sameBytes(t.seed, await t.read(t.key(name), other), t.bytes(BLOB_BYTES, i + 1), `${JSON.stringify(name)} elsewhere`)
  })
  // Similar names are next to each other: one of two is deleted, then the other.
  const [odd, even] = [1, 0].map((half) => held.filter((_, i) => i % 2 === half)) as [string[], string[]]
  await deleteLeaving(t, odd, even, other)
  await putAll(t, odd)
  await deleteLeaving(t, even, odd, other)
  await inBatches(t, odd, (name) => t.store.delete(t.key(name)))
  equal(await t.names('', other), [], 'the list once all are deleted')
}

async function deleteLeaving(t: Ctx, names: readonly string[], left: readonly string[], other: Subject): Promise<void> {
  await inBatches(t, names, async (name) => {
    await t.store.delete(t.key(name))
    equal(await other.stat(t.key(name)), null, `stat of ${JSON.stringify(name)} once deleted`)
  })
  equal((await t.names('', other)).sort(), [...left].sort(), 'the list of the names whose neighbours were deleted')
}

/** The names that a medium can hold at once; the limits it declares have their own cases. */
function coexisting(t: Ctx, names: readonly string[]): string[] {
  const { caseSensitive, normalizes, fileAndPrefix } = t.capabilities.keys ?? {}
  const taken = new Set<string>()
  return names.filter((name) => {
    const folded = caseSensitive === false ? name.toLowerCase() : name
    const form = normalizes ? folded.normalize('NFC') : folded
    const clashes =
      fileAndPrefix === false &&
      [...taken].some((other) => other.startsWith(`${form}/`) || form.startsWith(`${other}/`))
    if (clashes || taken.has(form)) return false
    taken.add(form)
    return true
  })
}

async function putAll(t: Ctx, names: readonly string[]): Promise<void> {
  await inBatches(t, names, async (name, i) => {
    const key = t.key(name)
    const stored = await t.store.put(key, t.bytes(BLOB_BYTES, i + 1), { size: BLOB_BYTES })
    equal(stored.key, key, 'the key that put returns')
  })
}

async function twins(t: Ctx, first: string, second: string, clash: boolean): Promise<void> {
  await t.store.put(t.key(first), t.bytes(BLOB_BYTES, 1))
  if (!clash) {
    await t.store.put(t.key(second), t.bytes(BLOB_BYTES, 2))
    await t.holds(t.key(second), t.bytes(BLOB_BYTES, 2))
    equal(
      (await t.names()).filter((name) => name === first || name === second).sort(),
      [first, second].sort(),
      'the list',
    )
  } else {
    await rejects(
      t.store.put(t.key(second), t.bytes(BLOB_BYTES, 2)),
      'KEY_CONFLICT',
      `put of ${second} beside ${first}`,
    )
    await rejects(t.store.get(t.key(second)), 'NOT_FOUND', `get of ${second}`)
  }
  await t.holds(t.key(first), t.bytes(BLOB_BYTES, 1))
}

async function heldOrRefused(t: Ctx, name: string, mustHold: boolean): Promise<void> {
  const source = new HeldSource([t.bytes(BLOB_BYTES)], Number.POSITIVE_INFINITY)
  const outcome = await settle(t.store.put(t.key(name), source, { size: BLOB_BYTES }))
  if (outcome.status === 'fulfilled') {
    await t.holds(t.key(name), t.bytes(BLOB_BYTES))
    check((await t.names()).includes(name), `list yields the key of ${name.length} characters`)
    return
  }
  checkCode(outcome.reason, ['INVALID_KEY'], `put of a name of ${Buffer.byteLength(name)} bytes`)
  check(!mustHold, `a name of ${Buffer.byteLength(name)} bytes is held, as the declared limits say`)
  equal(source.pulls, 0, 'the number of chunks read before the key was refused')
}

/** Valid names that this medium cannot hold. */
function refusedBy({ keys: { maxSegmentBytes } = {} }: Capabilities, { refusedNames = [] }: Harness): string[] {
  return [...refusedNames, ...(maxSegmentBytes === undefined ? [] : ['r'.repeat(maxSegmentBytes + 1)])]
}

/** put must give the reason; all other calls find nothing there, or give the same reason. */
async function isRefused(t: Ctx, key: string): Promise<void> {
  const what = `of ${JSON.stringify(key)}`
  const before = t.store.put(key, t.bytes(BLOB_BYTES), { size: BLOB_BYTES })
  await rejects(before, 'INVALID_KEY', `put ${what}`)
  await rejects(t.store.get(key), ['NOT_FOUND', 'INVALID_KEY'], `get ${what}`)
  for (const [call, answer] of [
    ['stat', settle(t.store.stat(key))],
    ['delete', settle(t.store.delete(key))],
  ] as const) {
    const outcome = await answer
    if (outcome.status === 'rejected') checkCode(outcome.reason, ['INVALID_KEY'], `${call} ${what}`)
    else check(!outcome.value, `${call} ${what} finds nothing`)
  }
}

/** This many ASCII characters, in segments that every medium holds. */
function longName(length: number): string {
  const segments = Array.from({ length: Math.ceil(length / 100) }, () => 'n'.repeat(99))
  const name = segments.join('/').slice(0, length)
  return name.endsWith('/') ? `${name.slice(0, -1)}n` : name
}

function escapeTwins(): string[] {
  const characters = [...' !"#$%&\'()*+,-.:;<=>?@[\\]^_`{|}~']
  return characters.flatMap((c) => {
    const hex = c.charCodeAt(0).toString(16)
    return [
      c,
      `%${hex}`,
      `%${hex.toUpperCase()}`,
      `%25${hex}`,
      `=${hex}`,
      `\\x${hex}`,
      `&#${c.charCodeAt(0)};`,
      `_${hex}`,
    ]
      .map((form) => `x${form}y`)
      .concat(`x${c}`, `x%${hex.toUpperCase()}`)
  })
}

function randomNames(t: Ctx, count: number): string[] {
  const random = randomFrom(t.seed)
  const alphabet = [...'aB0 %2Ff.-_~+=:;*?"<>|\\\'`$&é😀ｦ‛：'].concat('%2F', '%25', '/', 'CON', '..', 'e\u0301')
  return Array.from({ length: count }, (_, i) => {
    const length = 1 + Math.floor(random() * 12)
    const letters = Array.from({ length }, () => alphabet[Math.floor(random() * alphabet.length)])
    // A leading number separates names that a medium may not hold together.
    return `${i}${letters.join('')}`.replaceAll(/\/+/g, '/').replace(/\/(?=\.{0,2}(?:\/|$))/g, '')
  }).filter((name) => keyFault(t.key(name)) === null)
}

async function refusedBeforeCall(t: Ctx, invalid: readonly unknown[]): Promise<void> {
  const { guard, calls } = await t.spied()
  for (const value of invalid) {
    const key = value as string
    const source = new HeldSource([t.bytes(1)], Number.POSITIVE_INFINITY)
    const what = `of ${JSON.stringify(value)}`
    await rejects(guard.put(key, source), 'INVALID_KEY', `put ${what}`)
    equal(source.pulls, 0, `the number of chunks that put ${what} read`)
    await rejects(guard.get(key), 'INVALID_KEY', `get ${what}`)
    await rejects(guard.stat(key), 'INVALID_KEY', `stat ${what}`)
    await rejects(guard.has(key), 'INVALID_KEY', `has ${what}`)
    await rejects(guard.delete(key), 'INVALID_KEY', `delete ${what}`)
  }
  equal(
    calls.map(({ method }) => method),
    [],
    'the calls that reached the driver',
  )
}
