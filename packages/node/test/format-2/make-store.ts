// Makes `first.json.gz` and `last.json.gz`: a store as the first and the last version of format 2 leave it, with its process killed in the
// middle of work. node packages/node/test/format-2/make-store.ts CHECKOUT first|last, a checkout of f1b15f6 or 8f7fee8 with its packages
// installed
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { gzipSync } from 'node:zlib'
import type * as Backend from '@stored/core/backend'
import type * as Node from '@stored/node'
import type { Fixture, Objects } from './fixture.ts'

const [, , checkout, version] = process.argv as [string, string, string, 'first' | 'last']
const { MemoryBackend, MemoryPlace, StorageError } = (await import(
  path.resolve(checkout, 'packages/core/src/backend.ts')
)) as typeof Backend
const { openStore } = (await import(path.resolve(checkout, 'packages/node/src/index.ts'))) as typeof Node

/** Refuses one key, cannot be reached for another, and never answers for a third. */
class TroubledBackend extends MemoryBackend {
  override async put(key: string, body: AsyncIterable<Uint8Array>, options: Backend.PutOptions): Promise<Backend.Stat> {
    if (key === 'refused') throw new StorageError('TOO_LARGE', { op: 'put', key })
    if (key === 'unreachable') throw new StorageError('UNAVAILABLE', { op: 'put', key })
    if (key === 'running') {
      await Array.fromAsync(body)
      await options.onCheckpoint?.('all of it')
      reached.resolve()
      await new Promise(() => {})
    }
    return super.put(key, body, options)
  }
}

const reached = Promise.withResolvers<void>()
const places = { a: new MemoryPlace(), b: new MemoryPlace(), c: new MemoryPlace(), d: new MemoryPlace() }
const directory = path.join(mkdtempSync(path.join(tmpdir(), 'stored-format-2-')), 'store')
const store = await openStore({
  path: directory,
  backends: {
    a: { backend: new MemoryBackend({ place: places.a }) },
    b: { backend: new MemoryBackend({ place: places.b }), layout: 'id' },
    c: { backend: new TroubledBackend({ place: places.c }) },
    ...(version === 'last' && { d: { backend: new MemoryBackend({ place: places.d }) } }),
  },
})
const put = (text: string, key: string, backends?: ('a' | 'b' | 'c')[]) =>
  store.put(Buffer.from(text), { key, ...(backends && { backends }) })

await store.put(Buffer.from('alpha'), {
  key: 'docs/a.txt',
  metadata: { author: 'née', tags: [1, 2] },
  mimeType: 'text/x-first',
})
await put('alpha', 'docs/ä ö.txt', ['a', 'b'])
await store.put(Buffer.alloc(100_000, 'a big blob '), { key: 'big' })
await put('', 'empty', ['a'])
await put('deleted before b heard of it', 'gone')
for (const key of ['missing', 'damaged', 'changed', 'rebound']) await put(`what ${key} held at first`, key, ['a', 'b'])
await store.synced()
damage()
await Array.fromAsync(store.verify({ backend: 'a' }))
places.c.blobs.set('taken', { stat: { key: 'taken', size: 8, etag: 'theirs' }, bytes: Buffer.from('stranger') })
for (const key of ['refused', 'taken']) await put(`c has no room for ${key}`, key, ['a', 'c'])
await Promise.allSettled(['refused', 'taken'].map((key) => store.synced(key)))
if (version === 'last') await useMore()
await store.pause('b')
await put('owed to b', 'owed', ['a', 'b'])
await put('owed to b', 'owed too', ['b'])
await store.put(Buffer.alloc(80_000, 'big, and owed to b '), { key: 'owed big', backends: ['a', 'b'] })
await put('what it holds by now', 'rebound', ['a', 'b'])
await store.delete('gone')
await store.synced(undefined, { backends: ['a'] })
const retried = new Promise<void>((resolve) => store.on('sync:retry', () => resolve()))
await put('c cannot be reached for it', 'unreachable', ['c'])
await retried
await put('on its way when the process died', 'running', ['a', 'c'])
await reached.promise
await store.synced('running', { copies: 1 })

/** The keys of a blob whose deletion is at work are gone for readers. */
const isLeft = ({ key }: { readonly key: string }) => !key.startsWith('doomed/')
const said = {
  list: (await Array.fromAsync(store.list({ missing: true }))).filter(isLeft) as Fixture['list'],
  jobs: (await Array.fromAsync(store.jobs())).filter(isLeft),
  events: await Array.fromAsync(store.events()),
}
if (version === 'last') await beginDeletion()
// What is committed lies in the file: the process ends where it stands.
const fixture: Fixture = {
  ...said,
  files: Object.fromEntries(
    ['index.mdb', ...readdirSync(path.join(directory, 'staging')).map((name) => `staging/${name}`)].map((name) => [
      name,
      readFileSync(path.join(directory, name)).toString('base64'),
    ]),
  ),
  objects: { a: objectsOf('a'), b: objectsOf('b'), c: objectsOf('c') },
}
writeFileSync(path.join(import.meta.dirname, `${version}.json.gz`), gzipSync(JSON.stringify(fixture), { level: 9 }))
process.exit()

/** What the first version did not have: a backend that was removed, and blobs of more keys than one commit removes. */
async function useMore(): Promise<void> {
  await store.put(Buffer.from('a copy on d'), { key: 'doubted', backends: ['a', 'd' as 'a'] })
  await store.synced('doubted')
  await store.removeBackend('d' as 'a', { force: true })
  const keys = (name: string) => Array.from({ length: 120 }, (_, i) => `${name}/${i}`)
  for (const name of ['many', 'doomed'])
    await Promise.all(keys(name).map((key) => put(`one blob of ${name} keys`, key, ['a', 'b'])))
  await store.synced(undefined, { backends: ['a', 'b'] })
}

/** Ends with the first of its commits. */
function beginDeletion(): Promise<void> {
  return new Promise((resolve) => {
    store.on('delete', () => resolve())
    void store.stat('doomed/0').then((record) => store.delete(record?.id as string))
  })
}

/** Loses one object, turns a bit of another, and overwrites a third. */
function damage(): void {
  const { blobs } = places.a
  blobs.delete('missing')
  const [damaged, changed] = ['damaged', 'changed'].map((key) => blobs.get(key)) as [
    Backend.MemoryBlob,
    Backend.MemoryBlob,
  ]
  blobs.set('damaged', { ...damaged, bytes: Buffer.from(damaged.bytes).fill('D', 0, 1) })
  const { checksums: _, ...stat } = changed.stat
  blobs.set('changed', { stat: { ...stat, etag: 'of somebody' }, bytes: Buffer.from(changed.bytes).fill('C') })
}

function objectsOf(name: keyof typeof places): Objects {
  return [...places[name].blobs.values()].map(({ stat, bytes }) => ({
    stat,
    bytes: Buffer.from(bytes).toString('base64'),
  }))
}
