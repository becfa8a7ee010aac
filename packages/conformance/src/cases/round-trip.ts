import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Readable } from 'node:stream'
import { pathToFileURL } from 'node:url'
import { gzipSync } from 'node:zlib'
import type { GuardedBackend } from '@stored/core'
import { type Ctx, defineCases } from '../case.ts'
import { check, equal, sameBytes } from '../expect.ts'
import { chunksOf, streamOf } from '../source.ts'
import type { Body } from '../subject.ts'

const KIB = 1024
/** How far a medium's clock may be off. */
const CLOCK_SKEW_MS = 5_000

export const roundTrip = defineCases('rt', {
  bytes: {
    title: 'put of 1 KiB reads back the same, and put, get, stat and list agree on its size',
    why: 'This is the purpose of a storage.',
    raw: true,
    async run(t) {
      const [key, bytes] = [t.key('blob'), t.bytes(KIB)]
      const stored = await t.store.put(key, bytes, { size: KIB })
      equal({ key: stored.key, size: stored.size }, { key, size: KIB }, 'what put returns')
      await t.holds(key, bytes)
      const listed = []
      for await (const stat of t.store.list({ prefix: t.scope })) listed.push({ key: stat.key, size: stat.size })
      equal(listed, [{ key, size: KIB }], 'what list yields')
    },
  },
  binary: {
    title: 'put of every byte value and of invalid UTF-8 reads back the same',
    why: 'A driver that goes through strings turns what is not UTF-8 into U+FFFD.',
    raw: true,
    async run(t) {
      const everyByte = Uint8Array.from({ length: 256 }, (_, value) => value)
      const invalid = Uint8Array.of(0xc3, 0x28, 0xff, 0xfe, 0x00, 0xed, 0xa0, 0x80, 0x0d, 0x0a, 0x1a)
      await putAndCheck(t, 'every', everyByte)
      await putAndCheck(t, 'invalid', invalid)
    },
  },
  chunking: {
    title: 'put of one chunk, of chunks of 1 byte and of chunks mixed with empty ones stores the same',
    why: 'An empty chunk taken for the end truncates the blob; a chunk taken for a part loses order.',
    raw: true,
    async run(t) {
      const bytes = t.bytes(600)
      const single = chunksOf(bytes, 1)
      const mixed = chunksOf(bytes, 100).flatMap((chunk) => [new Uint8Array(), chunk, new Uint8Array()])
      for (const [name, chunks] of Object.entries({ one: [bytes], single, mixed })) {
        await t.store.put(t.key(name), streamOf(chunks), { size: bytes.length })
        await t.holds(t.key(name), bytes)
      }
    },
  },
  'unknown-size': {
    title: 'put without a size stores the whole body, and stat knows its size',
    why: 'Streams do not know their length.',
    raw: true,
    needs: ({ limits }) => (limits?.needsSize ? 'limits.needsSize: streams come with their size' : true),
    async run(t) {
      const bytes = t.bytes(10_000)
      await t.store.put(t.key('blob'), streamOf(chunksOf(bytes, 999)))
      await t.holds(t.key('blob'), bytes)
    },
  },
  sources: {
    title: 'put takes a Buffer, a view, a Blob, a path, a file: URL, both kinds of streams and generators',
    why: 'A view taken for its whole buffer stores the bytes of someone else.',
    async run(t) {
      const bytes = t.bytes(5_000)
      const directory = await mkdtemp(path.join(tmpdir(), 'stored-conformance-'))
      try {
        const file = path.join(directory, 'source')
        await writeFile(file, bytes)
        for (const [name, source] of Object.entries(sourcesOf(bytes, file))) {
          const stored = await t.guard.put(
            t.key(name),
            source,
            t.capabilities.limits?.needsSize ? { size: bytes.length } : {},
          )
          equal(stored.size, bytes.length, `the size of what put took from a ${name}`)
          sameBytes(t.seed, await t.read(t.key(name)), bytes, `the blob put from a ${name}`)
        }
      } finally {
        await rm(directory, { recursive: true })
      }
    },
  },
  'no-decode': {
    title: 'put of gzip bytes reads back the gzip bytes',
    why: 'An HTTP client that decodes on the way returns other bytes than were stored, under the same checksum.',
    async run(t) {
      const bytes = gzipSync(t.bytes(4_000))
      const typed = t.capabilities.contentType ? { contentType: 'application/gzip' } : {}
      await t.guard.put(t.key('blob.gz'), bytes, typed)
      await t.holds(t.key('blob.gz'), bytes)
    },
  },
  'second-view': {
    title: 'a blob put through one instance is read through another at once',
    why: 'put resolves only when others can read every byte: the next process relies on it.',
    raw: true,
    async run(t) {
      const other = await t.open()
      await t.store.put(t.key('blob'), t.bytes(KIB))
      await t.holds(t.key('blob'), t.bytes(KIB), other)
      equal(await t.names('', other), ['blob'], 'what the other instance lists')
    },
  },
  reopen: {
    title: 'a blob is still there after its instance was closed',
    why: 'What is kept only in the instance dies with the process.',
    raw: true,
    async run(t) {
      const first = await t.open()
      await first.put(t.key('blob'), t.bytes(KIB))
      await first.close()
      await t.holds(t.key('blob'), t.bytes(KIB), await t.open())
    },
  },
  'parallel-get': {
    title: '8 gets of one blob at once each read it whole',
    why: 'A position shared between readers gives each of them pieces.',
    raw: true,
    async run(t) {
      const bytes = t.bytes(300_000)
      await t.store.put(t.key('blob'), bytes)
      const reads = await Promise.all(Array.from({ length: 8 }, () => t.read(t.key('blob'))))
      for (const [i, read] of reads.entries()) sameBytes(t.seed, read, bytes, `the blob read by reader ${i}`)
    },
  },
  etag: {
    title: 'put, get, stat and list give one etag, and an overwrite of the same size gives another',
    why: 'ifMatch, resumed reads and the index all take an equal etag for equal bytes.',
    raw: true,
    declare: "etag: 'weak'",
    proves: ['etag'],
    async run(t) {
      const key = t.key('blob')
      const first = await t.store.put(key, t.bytes(100, 1))
      if (first.etag === undefined) {
        check(!t.capabilities.etag && !t.capabilities.ifMatch, 'a driver that declares etag or ifMatch returns an etag')
        t.skip('the driver has no etags')
      }
      await sameEtags(t, key, first.etag)
      const second = await t.store.put(key, t.bytes(100, 2))
      await sameEtags(t, key, second.etag)
      if (t.capabilities.etag !== 'weak')
        check(first.etag !== second.etag, `an overwrite of the same size changes the etag, but it stayed ${first.etag}`)
    },
  },
  modified: {
    title: 'put and stat give the time of the put, in whole milliseconds',
    why: 'Seconds taken for milliseconds put every blob in January 1970.',
    async run(t) {
      const before = Date.now()
      const stored = await t.store.put(t.key('blob'), t.bytes(10))
      const stat = await t.store.stat(t.key('blob'))
      if (stored.modified === undefined && stat?.modified === undefined) t.skip('the driver has no modification times')
      for (const [from, modified] of Object.entries({ put: stored.modified, stat: stat?.modified })) {
        if (modified === undefined) continue
        check(Number.isInteger(modified), `the time that ${from} gives is a whole number, but it is ${modified}`)
        check(
          modified >= before - CLOCK_SKEW_MS && modified <= Date.now() + CLOCK_SKEW_MS,
          `the time that ${from} gives is that of the put, but it is ${new Date(modified).toISOString()}`,
        )
      }
    },
  },
})

async function putAndCheck(t: Ctx, name: string, bytes: Uint8Array): Promise<void> {
  await t.store.put(t.key(name), bytes, { size: bytes.length })
  await t.holds(t.key(name), bytes)
}

async function sameEtags(t: Ctx, key: string, etag: string | undefined): Promise<void> {
  const { stat: got, body } = await t.store.get(key)
  for await (const _ of body);
  const stat = await t.store.stat(key)
  const listed: (string | undefined)[] = []
  for await (const entry of t.store.list({ prefix: t.scope })) listed.push(entry.etag)
  equal({ get: got.etag, stat: stat?.etag, list: listed }, { get: etag, stat: etag, list: [etag] }, 'the etag')
}

function sourcesOf(bytes: Uint8Array, file: string): Record<string, Parameters<GuardedBackend['put']>[1]> {
  const padded = Buffer.concat([Buffer.alloc(7, 0xee), bytes, Buffer.alloc(9, 0xee)])
  return {
    Buffer: Buffer.from(bytes),
    'view with an offset': new Uint8Array(padded.buffer, padded.byteOffset + 7, bytes.length),
    Blob: new Blob([Uint8Array.from(bytes)]),
    path: file,
    'file URL': pathToFileURL(file),
    Readable: Readable.from(chunksOf(bytes, 1_000)),
    ReadableStream: new Blob([Uint8Array.from(bytes)]).stream(),
    'async generator': streamOf(chunksOf(bytes, 700)) satisfies Body,
    'sync iterable': chunksOf(bytes, 800),
  }
}
