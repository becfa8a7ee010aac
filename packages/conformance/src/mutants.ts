import { createHash, randomUUID } from 'node:crypto'
import { openSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { devNull, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import {
  type GetOptions,
  type GetResult,
  type ListOptions,
  MemoryBackend,
  type MemoryPlace,
  type Op,
  type PutOptions,
  type Stat,
  StorageError,
  type WatchEvent,
} from '@stored/core/backend'
import { fileMutants } from './file-mutants.ts'
import type { Harness } from './harness.ts'
import type { Mutant } from './mutant.ts'
import { resumeMutants } from './resume-mutants.ts'
import { once } from './subject.ts'

type Keyed = Pick<MemoryBackend, 'put' | 'get' | 'stat' | 'delete' | 'list'>

class WritesInPlace extends MemoryBackend {
  protected override collect(key: string, body: AsyncIterable<Uint8Array>, o: PutOptions): Promise<Uint8Array> {
    const { blobs } = this.place
    const before = blobs.get(key)
    const show = (bytes: Uint8Array) => blobs.set(key, { bytes, stat: { key, size: bytes.length, etag: 'partial' } })
    const restore = () => (before ? blobs.set(key, before) : blobs.delete(key))
    return super.collect(key, tapped(body, show), o).finally(restore)
  }
}

class StatThenPut extends MemoryBackend {
  override async put(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Stat> {
    const { ifAbsent, ...rest } = options
    if (ifAbsent && (await this.stat(key, options)) !== null) throw this.error('ALREADY_EXISTS', 'put', key)
    return super.put(key, body, rest)
  }
}

class ListShowsTemp extends MemoryBackend {
  protected override async collect(key: string, body: AsyncIterable<Uint8Array>, o: PutOptions): Promise<Uint8Array> {
    const temp = `${key}.tmp`
    this.place.blobs.set(temp, { bytes: new Uint8Array(), stat: { key: temp, size: 0 } })
    return super.collect(key, body, o).finally(() => this.place.blobs.delete(temp))
  }
}

class Utf16Order extends MemoryBackend {
  override async *list(options: ListOptions): AsyncGenerator<Stat, void, void> {
    const stats = await Array.fromAsync(super.list(options))
    yield* stats.sort((a, b) => (a.key < b.key ? -1 : 1))
  }
}

class DeleteThrowsMissing extends MemoryBackend {
  override async delete(key: string, options: Op): Promise<void> {
    if (!this.place.blobs.has(key)) throw this.error('NOT_FOUND', 'delete', key)
    return super.delete(key, options)
  }
}

class RangeSize extends MemoryBackend {
  override async get(key: string, options: GetOptions): Promise<GetResult> {
    const { stat, body } = await super.get(key, options)
    const { offset = 0, length = Number.POSITIVE_INFINITY } = options
    return { stat: { ...stat, size: Math.min(length, stat.size - offset) }, body }
  }
}

class InclusiveRange extends MemoryBackend {
  override get(key: string, options: GetOptions): Promise<GetResult> {
    return super.get(key, options.length === undefined ? options : { ...options, length: options.length + 1 })
  }
}

class NeverSettles extends MemoryBackend {
  override async put(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Stat> {
    let begun = false
    const begin = () => {
      begun = true
    }
    return super.put(key, tapped(body, begin), options).catch((error) => {
      return begun || !options.signal.aborted ? Promise.reject(error) : new Promise(() => {})
    })
  }
}

class SwallowsShort extends MemoryBackend {
  protected override collect(key: string, body: AsyncIterable<Uint8Array>, o: PutOptions): Promise<Uint8Array> {
    return super.collect(key, endingOnError(body), o)
  }
}

class BlamesItself extends MemoryBackend {
  protected override async collect(key: string, body: AsyncIterable<Uint8Array>, o: PutOptions): Promise<Uint8Array> {
    return super.collect(key, body, o).catch((cause) => {
      throw new StorageError('UNAVAILABLE', { backend: this.name, op: 'put', key }, { cause })
    })
  }
}

class StopsAtEmptyChunk extends MemoryBackend {
  protected override collect(key: string, body: AsyncIterable<Uint8Array>, o: PutOptions): Promise<Uint8Array> {
    return super.collect(key, blankAfterEmpty(body), o)
  }
}

class ClosesNothing extends MemoryBackend {
  override async close(): Promise<void> {}
}

class PrefixAsDirectory extends MemoryBackend {
  override list(options: ListOptions): AsyncGenerator<Stat, void, void> {
    const { prefix } = options
    return super.list(prefix === '' || prefix.endsWith('/') ? options : { ...options, prefix: `${prefix}/` })
  }
}

class CachesList extends MemoryBackend {
  readonly #cache = new Map<string, Promise<Stat[]>>()
  override async *list(options: ListOptions): AsyncGenerator<Stat, void, void> {
    const id = `${options.prefix}\n${options.startAfter}`
    const cached = this.#cache.get(id) ?? Array.fromAsync(super.list(options))
    this.#cache.set(id, cached)
    yield* await cached
  }
}

class AfterIncludesCursor extends MemoryBackend {
  override async *list(options: ListOptions): AsyncGenerator<Stat, void, void> {
    const at = options.startAfter === undefined ? undefined : this.place.blobs.get(options.startAfter)
    if (at?.stat.key.startsWith(options.prefix)) yield at.stat
    yield* super.list(options)
  }
}

class EtagOfSize extends MemoryBackend {
  protected override commit(key: string, bytes: Uint8Array, options: Pick<Stat, 'contentType' | 'metadata'>): Stat {
    const stat = { ...super.commit(key, bytes, options), etag: String(bytes.length) }
    this.place.blobs.set(key, { bytes, stat })
    return stat
  }
}

class IgnoresIfMatch extends MemoryBackend {
  protected override checkMatch(): void {}
}

class KeepsTail extends MemoryBackend {
  protected override commit(key: string, bytes: Uint8Array, options: Pick<Stat, 'contentType' | 'metadata'>): Stat {
    const tail = this.place.blobs.get(key)?.bytes.subarray(bytes.length) ?? new Uint8Array()
    const stat = super.commit(key, bytes, options)
    this.place.blobs.set(key, { stat, bytes: Buffer.concat([bytes, tail]) })
    return stat
  }
}

class TornReader extends MemoryBackend {
  protected override async *read(key: string, bytes: Uint8Array, options: Op): AsyncGenerator<Uint8Array, void, void> {
    yield* super.read(key, bytes.subarray(0, 65_536), options)
    if (bytes.length <= 65_536) return
    const now = this.place.blobs.get(key)?.bytes ?? bytes
    yield* super.read(key, (now.length === bytes.length ? now : bytes).subarray(65_536), options)
  }
}

class DirectoryOrder extends MemoryBackend {
  override async *list(options: ListOptions): AsyncGenerator<Stat, void, void> {
    const stats = await Array.fromAsync(super.list(options))
    yield* stats.sort((a, b) => (a.key.replaceAll('/', '\0') < b.key.replaceAll('/', '\0') ? -1 : 1))
  }
}

class ComposesDigests extends MemoryBackend {
  protected override commit(key: string, bytes: Uint8Array, options: Pick<Stat, 'contentType' | 'metadata'>): Stat {
    const stat = super.commit(key, bytes, options)
    if (bytes.length <= 1 << 20) return stat
    const md5 = createHash('md5')
      .update(stat.checksums?.md5 ?? '')
      .digest('hex')
    this.place.blobs.set(key, { bytes, stat: { ...stat, checksums: { ...stat.checksums, md5 } } })
    return stat
  }
}

class EtagAsMd5 extends MemoryBackend {
  override readonly capabilities = { ...new MemoryBackend().capabilities, checksums: ['sha256', 'sha1'] } as never
}

class ForgetsConditionOfParts extends MemoryBackend {
  override async put(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Stat> {
    const { ifAbsent: _, ifMatch: __, ...rest } = options
    return super.put(key, body, (options.size ?? 0) > 8 << 20 ? rest : options)
  }
}

class UpperCasesMetadata extends MemoryBackend {
  protected override commit(key: string, bytes: Uint8Array, options: Pick<Stat, 'contentType' | 'metadata'>): Stat {
    const named = Object.entries(options.metadata ?? {}).map(([name, value]) => [name.toUpperCase(), value])
    return super.commit(key, bytes, { ...options, metadata: Object.fromEntries(named) })
  }
}

class MergesMetadata extends MemoryBackend {
  protected override commit(key: string, bytes: Uint8Array, options: Pick<Stat, 'contentType' | 'metadata'>): Stat {
    return super.commit(key, bytes, { ...this.place.blobs.get(key)?.stat, ...options })
  }
}

class CutsMetadata extends MemoryBackend {
  protected override commit(key: string, bytes: Uint8Array, options: Pick<Stat, 'contentType' | 'metadata'>): Stat {
    const cut = Object.entries(options.metadata ?? {}).map(([name, value]) => [name, value.slice(0, 8192)])
    return super.commit(key, bytes, { ...options, metadata: Object.fromEntries(cut) })
  }
}

class SharesBuffer extends MemoryBackend {
  #last: Uint8Array = new Uint8Array()
  protected override async collect(key: string, body: AsyncIterable<Uint8Array>, o: PutOptions): Promise<Uint8Array> {
    const keep = (soFar: Uint8Array) => {
      this.#last = soFar
    }
    await super.collect(key, tapped(body, keep), o)
    return this.#last
  }
}

class LeaksHandles extends MemoryBackend {
  override stat(key: string, options: Op): Promise<Stat | null> {
    openSync(devNull, 'r')
    return super.stat(key, options)
  }
}

class PoisonedByAbort extends MemoryBackend {
  #poison: AbortSignal | undefined
  protected override begin(op: string, key: string | undefined, { signal }: Op): void {
    if (this.#poison?.aborted) throw this.error('UNAVAILABLE', op, key)
    this.#poison = signal
    super.begin(op, key, { signal })
  }
}

class DeniedAsNull extends MemoryBackend {
  override stat(key: string, options: Op): Promise<Stat | null> {
    return super.stat(key, options).catch(() => null)
  }
}

class WatchIgnoresPrefix extends MemoryBackend {
  override watch({ signal }: Op): AsyncGenerator<WatchEvent, void, void> {
    return super.watch({ signal })
  }
}

class WatchDropsEvents extends MemoryBackend {
  override async *watch(options: Op & { prefix?: string }): AsyncGenerator<WatchEvent, void, void> {
    let dropped = 0
    for await (const event of super.watch(options))
      if (event.type === 'overflow' || !event.key.includes('burst') || ++dropped % 100) yield event
  }
}

class WatchStartsLate extends MemoryBackend {
  override async *watch(options: Op & { prefix?: string }): AsyncGenerator<WatchEvent, void, void> {
    await wait(50, undefined, { signal: options.signal })
    yield* super.watch(options)
  }
}

class WatchSeesTemp extends MemoryBackend {
  protected override collect(key: string, body: AsyncIterable<Uint8Array>, o: PutOptions): Promise<Uint8Array> {
    this.place.notify({ type: 'put', key: `${key}.tmp` })
    return super.collect(key, body, o)
  }
}

class WatchIgnoresAbort extends MemoryBackend {
  override watch({ prefix = '' }: Op & { prefix?: string }): AsyncGenerator<WatchEvent, void, void> {
    return super.watch({ prefix, signal: new AbortController().signal })
  }
}

class FollowsSymlinks extends MemoryBackend {
  override async get(key: string, options: GetOptions): Promise<GetResult> {
    const target = linksOf(this.place).get(key)
    if (target === undefined) return super.get(key, options)
    const bytes = await readFile(target)
    return { stat: { key, size: bytes.length }, body: this.read(key, bytes, options) }
  }
}

/** Takes a name that the medium cannot hold for an outage. */
class RefusedNameAsOutage extends MemoryBackend {
  override async put(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Stat> {
    if (key.includes(':')) throw this.error('UNAVAILABLE', 'put', key)
    return super.put(key, body, options)
  }
}

class RefusedNameEndsAll extends MemoryBackend {
  #isGone = false

  override async put(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Stat> {
    if (this.#isGone) throw this.error('UNAVAILABLE', 'put', key)
    this.#isGone = key.includes(':')
    if (this.#isGone) throw this.error('INVALID_KEY', 'put', key)
    return super.put(key, body, options)
  }
}

class HoldsRefusedName extends MemoryBackend {
  override async put(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Stat> {
    return super.put(key.replaceAll(':', '_'), body, options)
  }
}

class LinkAsDenied extends MemoryBackend {
  override async put(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Stat> {
    const links = [...linksOf(this.place).keys()]
    if (links.some((link) => key === link || key.startsWith(`${link}/`)))
      throw this.error('PERMISSION_DENIED', 'put', key)
    return super.put(key, body, options)
  }
}

class ReplacesLink extends MemoryBackend {
  override async put(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Stat> {
    linksOf(this.place).delete(key)
    return super.put(key, body, options)
  }
}

class DropsType extends MemoryBackend {
  protected override commit(key: string, bytes: Uint8Array, { metadata }: Pick<Stat, 'metadata'>): Stat {
    return super.commit(key, bytes, metadata ? { metadata } : {})
  }
}

class WatchUnlinksFirst extends MemoryBackend {
  override async *watch(options: Op & { prefix?: string }): AsyncGenerator<WatchEvent, void, void> {
    for await (const event of super.watch(options))
      yield* event.type === 'put' ? [{ type: 'delete', key: event.key } as const, event] : [event]
  }
}

class WatchOnlyOverflows extends MemoryBackend {
  override async *watch(options: Op & { prefix?: string }): AsyncGenerator<WatchEvent, void, void> {
    for await (const _ of super.watch(options)) yield { type: 'overflow' }
  }
}

class WatchMissesDeletes extends MemoryBackend {
  override async *watch(options: Op & { prefix?: string }): AsyncGenerator<WatchEvent, void, void> {
    for await (const event of super.watch(options)) if (event.type !== 'delete') yield event
  }
}

class LeaksSource extends MemoryBackend {
  protected override collect(key: string, body: AsyncIterable<Uint8Array>, o: PutOptions): Promise<Uint8Array> {
    const source = body[Symbol.asyncIterator]()
    return super.collect(key, { [Symbol.asyncIterator]: () => ({ next: () => source.next() }) }, o)
  }
}

/** Between two volumes a rename is a copy. */
class TempOutsideRoot extends MemoryBackend {
  override async put(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Stat> {
    const bytes = await this.collect(key, body, options)
    for (let size = 0; size < bytes.length; size += 65_536) {
      super.commit(key, bytes.subarray(0, size), options)
      await wait(0)
    }
    return super.put(key, once(bytes), options)
  }
}

class DeclaresNoCopy extends MemoryBackend {
  override readonly capabilities = { ...new MemoryBackend().capabilities, copy: false } as never
}

class ChangesItsMind extends MemoryBackend {
  static #opened = 0
  override readonly capabilities = {
    ...new MemoryBackend().capabilities,
    limits: { partSize: ++ChangesItsMind.#opened },
  } as never
}

class CopiesNothing extends MemoryBackend {
  override async copy(from: string, to: string, options: Op): Promise<Stat> {
    return this.place.blobs.has(from) ? super.copy(from, to, options) : super.commit(to, new Uint8Array(), {})
  }
}

class DeletesSome extends MemoryBackend {
  override deleteMany(keys: readonly string[], options: Op): Promise<Map<string, StorageError>> {
    return super.deleteMany(keys.slice(0, 10), options)
  }
}

class ClosesAll extends MemoryBackend {
  static readonly #closed = new WeakSet<MemoryPlace>()
  protected override begin(op: string, key: string | undefined, options: Op): void {
    if (ClosesAll.#closed.has(this.place)) throw this.error('CLOSED', op, key)
    super.begin(op, key, options)
  }
  override async open(): Promise<void> {
    ClosesAll.#closed.delete(this.place)
  }
  override async close(): Promise<void> {
    ClosesAll.#closed.add(this.place)
    await super.close()
  }
}

/** Each is a change of a few lines to MemoryBackend, which passes every case unchanged. */
export const mutants: readonly Mutant[] = Object.freeze([
  of('writes-in-place', 'an unfinished put is seen under its key', WritesInPlace, ['at.hidden-new', 'at.hidden-old']),
  of('stat-then-put', 'ifAbsent looks first and writes later', StatThenPut, ['cw.race']),
  of('list-shows-temp', 'list yields the temporary name of a put', ListShowsTemp, ['ls.no-temp']),
  of('utf16-order', 'list sorts by UTF-16 units', Utf16Order, ['ls.order']),
  of('delete-throws-missing', 'delete of nothing is NOT_FOUND', DeleteThrowsMissing, [
    'sd.delete-missing',
    'sd.delete-twice',
  ]),
  of('range-size', 'stat.size of a range is that of the range', RangeSize, ['rg.middle']),
  of('inclusive-range', 'a range ends one byte late', InclusiveRange, ['rg.middle', 'rg.first']),
  of('never-settles', 'a put that is aborted before its first chunk stays pending', NeverSettles, ['ab.start']),
  of('swallows-short', 'a body that throws is stored up to there', SwallowsShort, [
    'sz.short',
    'src.mid',
    'ab.mid',
    'ck.expected',
  ]),
  of('blames-itself', 'a source that fails is told as an outage', BlamesItself, ['src.passes']),
  of('stops-at-empty-chunk', 'an empty chunk is taken for the end', StopsAtEmptyChunk, ['rt.chunking']),
  of('close-noop', 'close closes nothing', ClosesNothing, ['lc.after-close']),
  of('prefix-as-directory', 'a prefix is taken for a directory', PrefixAsDirectory, [
    'ls.prefix-string',
    'ls.prefix-is-key',
  ]),
  of('caches-list', 'list answers from a cache', CachesList, ['ls.strong']),
  of('after-includes-cursor', 'list begins with its cursor', AfterIncludesCursor, ['ls.after']),
  of('etag-of-size', 'the etag is the size', EtagOfSize, ['rt.etag', 'cw.counter']),
  of('ignores-if-match', 'ifMatch is accepted and ignored', IgnoresIfMatch, ['cw.stale', 'sd.ifmatch-stale']),
  of('keeps-tail', 'an overwrite is not cut to its size', KeepsTail, ['at.shrink']),
  of('torn-reader', 'a reader goes on in the new blob', TornReader, ['at.pinned-reader']),
  of('drops-type', 'the content type is forgotten', DropsType, ['md.type']),
  of('watch-unlinks-first', 'an overwrite is a deletion and a creation', WatchUnlinksFirst, ['wa.over', 'wa.put']),
  of('watch-only-overflows', 'every change is an overflow', WatchOnlyOverflows, ['wa.put', 'wa.over', 'wa.delete']),
  of('watch-misses-deletes', 'deletions are not watched', WatchMissesDeletes, ['wa.delete']),
  of('leaks-source', 'a put that fails does not end its source', LeaksSource, ['src.released']),
  of('temp-outside-root', 'the temporary file lies on another volume', TempOutsideRoot, ['at.poll', 'at.poll-stat']),
  of('declares-no-copy', 'a method is there that is not declared', DeclaresNoCopy, ['cp.schema']),
  of('changes-its-mind', 'another instance declares something else', ChangesItsMind, ['cp.schema']),
  of('copies-nothing', 'a copy of nothing is an empty blob', CopiesNothing, ['cp.copy']),
  of('deletes-some', 'deleteMany ends after its first page', DeletesSome, ['cp.delete-many']),
  of('closes-all', 'an instance that is closed closes the others', ClosesAll, ['lc.two-instances']),
  of('directory-order', 'list goes directory by directory', DirectoryOrder, ['ls.order']),
  of('composes-digests', 'the MD5 of a large blob is one of the MD5s of its parts', ComposesDigests, ['ck.native']),
  of('etag-as-md5', 'a checksum is reported that is not declared', EtagAsMd5, ['ck.no-fake']),
  {
    ...of('forgets-condition-of-parts', 'the conditions of a large blob are lost', ForgetsConditionOfParts, [
      'cw.parts',
    ]),
    profile: 'full',
  },
  of('upper-cases-metadata', 'names of metadata come back in upper case', UpperCasesMetadata, ['md.user', 'md.case']),
  of('merges-metadata', 'an overwrite keeps the former metadata', MergesMetadata, ['md.overwrite-clears']),
  of('cuts-metadata', 'long metadata is cut off', CutsMetadata, ['md.too-big']),
  of('shares-buffer', 'puts at the same time share a buffer', SharesBuffer, ['bp.parallel']),
  of('leaks-handles', 'stat leaves a file open', LeaksHandles, ['bp.handles']),
  of('poisoned-by-abort', 'an abort breaks the instance', PoisonedByAbort, ['ft.poison']),
  {
    ...of('denied-as-null', 'what may not be read is not there', DeniedAsNull, ['sd.stat-denied', 'au.deny-read']),
    hooks: deniable,
  },
  {
    ...of('follows-symlink', 'get follows a symbolic link', FollowsSymlinks, ['tr.symlink-read']),
    hooks: linkable,
  },
  {
    ...of('link-as-denied', 'a link in the way is a missing permission', LinkAsDenied, ['tr.in-the-way']),
    hooks: linkable,
  },
  {
    ...of('replaces-link', 'put replaces a link that lies at its key', ReplacesLink, ['tr.in-the-way']),
    hooks: linkable,
  },
  ...[
    of('refused-name-as-outage', 'a name that the medium refuses is an outage', RefusedNameAsOutage, ['key.refused']),
    of('refused-name-ends-all', 'after a name that the medium refuses all puts fail', RefusedNameEndsAll, [
      'key.refused',
    ]),
    of('holds-refused-name', 'a name that the medium refuses is held under another', HoldsRefusedName, ['key.refused']),
  ].map((mutant) => ({ ...mutant, hooks: () => ({ refusedNames: ['a:b'] }) })),
  of('watch-ignores-prefix', 'a watch tells of every key', WatchIgnoresPrefix, ['wa.prefix']),
  of('watch-drops-events', 'a watch leaves out events', WatchDropsEvents, ['wa.burst']),
  of('watch-starts-late', 'a watch begins after it was asked for', WatchStartsLate, ['wa.ready']),
  of('watch-sees-temp', 'a watch tells of temporary names', WatchSeesTemp, ['wa.no-temp']),
  of('watch-ignores-abort', 'a watch goes on after its abort', WatchIgnoresAbort, ['wa.abort']),
  renames('decodes-percent', 'keys are percent-decoded', decode, ['key.percent', 'key.escape-twin', 'tr.encoded']),
  renames('strips-trailing-dot', 'dots at the end of a key are cut off', (key) => key.replace(/\.+$/, ''), [
    'key.dots',
  ]),
  renames('lowercases', 'keys are stored in lower case', (key) => key.toLowerCase(), ['key.case']),
  renames('normalizes', 'keys are normalized', (key) => key.normalize('NFC'), ['key.nfc-nfd']),
  renames('backslash-is-slash', 'a backslash is a slash', (key) => key.replaceAll('\\', '/'), ['key.backslash']),
  ...resumeMutants,
  ...fileMutants,
])

function of(
  name: string,
  fault: string,
  Backend: new (options: { place: MemoryPlace }) => MemoryBackend,
  killedBy: readonly string[],
): Mutant {
  return { name, fault, killedBy, open: (place) => new Backend({ place }) }
}

const links = new WeakMap<MemoryPlace, Map<string, string>>()

/** The symbolic links in a place, beside its blobs. */
function linksOf(place: MemoryPlace): Map<string, string> {
  const there = links.get(place) ?? new Map<string, string>()
  links.set(place, there)
  return there
}

function linkable(place: MemoryPlace): Partial<Harness> {
  return {
    outsider: {
      outside: join(tmpdir(), `stored-${randomUUID()}`),
      write: async (key, bytes) => void place.blobs.set(key, { bytes, stat: { key, size: bytes.length } }),
      corrupt: async () => {},
      symlink: async (key, target) => void linksOf(place).set(key, target),
    },
  }
}

/** Memory whose blobs can be made unreadable. */
function deniable({ blobs }: MemoryPlace): Partial<Harness> {
  return {
    async deny() {
      const { get } = blobs
      blobs.get = (key) => {
        throw new StorageError('PERMISSION_DENIED', { op: 'get', key })
      }
      return async () => {
        blobs.get = get
      }
    },
  }
}

/** A driver that stores each key under another name. */
function renames(name: string, fault: string, rename: (key: string) => string, killedBy: readonly string[]): Mutant {
  const open = (place: MemoryPlace) => {
    const backend = new MemoryBackend({ place })
    const { put, get, stat, delete: remove } = MemoryBackend.prototype
    const renamed: Partial<Keyed> = {
      put: (key, ...rest) => put.call(backend, rename(key), ...rest),
      get: (key, ...rest) => get.call(backend, rename(key), ...rest),
      stat: (key, ...rest) => stat.call(backend, rename(key), ...rest),
      delete: (key, ...rest) => remove.call(backend, rename(key), ...rest),
    }
    return Object.assign(backend, renamed)
  }
  return { name, fault, killedBy, open }
}

function decode(key: string): string {
  return key.replaceAll(/%[0-7][0-9a-f]/gi, (triplet) => decodeURIComponent(triplet))
}

async function* endingOnError(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* body
  } catch {
    // The fault: the error is dropped.
  }
}

/** `body`, reporting after each chunk what has arrived so far. */
async function* tapped(
  body: AsyncIterable<Uint8Array>,
  tell: (soFar: Uint8Array) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  let soFar = Buffer.alloc(0)
  for await (const chunk of body) {
    soFar = Buffer.concat([soFar, chunk])
    tell(soFar)
    yield chunk
  }
}

/** `body` read to its end, discarding everything after an empty chunk. */
async function* blankAfterEmpty(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  let ended = false
  for await (const chunk of body) {
    ended ||= chunk.length === 0
    if (!ended) yield chunk
  }
}
