import { createHash } from 'node:crypto'
import { type Ctx, defineCases, outOfProcess } from '../case.ts'
import { equal, rejects } from '../expect.ts'
import { staysSmall, watchMemory } from '../memory.ts'
import { payloadStream } from '../payload.ts'
import { chunksOf, HeldSource, streamOf } from '../source.ts'

const MIB = 1 << 20

export const sizes = defineCases('sz', {
  'zero-known': {
    title: 'put of an empty body of size 0 stores an empty blob',
    why: 'An empty blob is a blob; some clients send no request at all if there is nothing to send.',
    raw: true,
    run: (t) => checkEmpty(t, [], 0),
  },
  'zero-stream': {
    title: 'put of an empty body of unknown size stores an empty blob',
    why: 'An upload in parts with no part is refused by most services, and must be put in one instead.',
    raw: true,
    needs: ({ limits }) => (limits?.needsSize ? 'limits.needsSize: streams come with their size' : true),
    run: (t) => checkEmpty(t, [new Uint8Array(), new Uint8Array()]),
  },
  one: {
    title: 'put of one byte stores one byte',
    why: 'Ranges and buffers are off by one here first.',
    raw: true,
    async run(t) {
      await t.store.put(t.key('blob'), t.bytes(1), { size: 1 })
      await t.holds(t.key('blob'), t.bytes(1))
    },
  },
  edges: {
    title: 'put of sizes around one and two parts stores each exactly',
    why: 'After a part that is exactly full, an empty one follows or the last byte is lost.',
    raw: true,
    profile: 'full',
    async run(t) {
      const parts = t.capabilities.limits?.partSize ? [t.capabilities.limits.partSize] : [64 << 10, 5 * MIB, 8 * MIB]
      for (const part of parts)
        for (const size of [part - 1, part, part + 1, 2 * part, 2 * part + 1]) {
          await t.store.put(t.key('blob'), streamOf(chunksOf(t.bytes(size), 256 << 10)), { size })
          await t.holds(t.key('blob'), t.bytes(size))
        }
    },
  },
  '64m': {
    title: 'put of 64 MiB reads back with the same digest',
    why: 'Large blobs take another path in most clients.',
    profile: 'full',
    run: (t) => checkLarge(t, 64 * MIB),
  },
  '5g': {
    title: 'put of 5 GiB and a byte reads back with the same digest, in bounded memory',
    why: 'Sizes over 2^32 overflow, single requests end at 5 GiB, and a fully buffered body does not fit in memory.',
    profile: 'soak',
    needs: outOfProcess,
    async run(t) {
      const memory = watchMemory(t)
      await checkLarge(t, 5 * 1024 * MIB + 1, (bytes) => memory.passed(bytes))
      staysSmall(memory)
    },
  },
  'over-limit': {
    title: 'put of a size over limits.maxSize rejects with TOO_LARGE and reads nothing',
    why: 'Sending gigabytes only to be refused at the end costs money.',
    needs: ({ limits }) => (limits?.maxSize === undefined ? 'limits.maxSize is not declared' : true),
    async run(t) {
      const source = new HeldSource([t.bytes(1)], 1)
      const size = (t.capabilities.limits?.maxSize as number) + 1
      await rejects(t.store.put(t.key('blob'), source, { size }), 'TOO_LARGE', 'put of a size over limits.maxSize')
      equal(source.pulls, 0, 'the number of chunks read')
    },
  },
  short: {
    title: 'put that is given less than its size rejects with SIZE_MISMATCH and stores nothing',
    why: 'A truncated upload that looks like a success is data loss, discovered too late.',
    async run(t) {
      const put = t.store.put(t.key('blob'), streamOf([t.bytes(500)]), { size: 1_000 })
      await rejects(put, 'SIZE_MISMATCH', 'put of 500 bytes declared as 1,000')
      await t.lacks(t.key('blob'))
    },
  },
  long: {
    title: 'put that is given more than its size rejects with SIZE_MISMATCH and stores nothing',
    why: 'A body cut at its declared size is as lossy as a short one.',
    async run(t) {
      const put = t.store.put(t.key('blob'), streamOf(chunksOf(t.bytes(1_001), 500)), { size: 1_000 })
      await rejects(put, 'SIZE_MISMATCH', 'put of 1,001 bytes declared as 1,000')
      await t.lacks(t.key('blob'))
    },
  },
  'short-parts': {
    title: 'put that ends in its second of four parts rejects with SIZE_MISMATCH and leaves no debris',
    why: 'The parts that were uploaded are billed until someone removes them.',
    async run(t) {
      const part = t.capabilities.limits?.partSize ?? 64 << 10
      const chunks = chunksOf(t.bytes(Math.floor(1.5 * part)), 64 << 10)
      const put = t.store.put(t.key('blob'), streamOf(chunks), { size: 4 * part })
      await rejects(put, 'SIZE_MISMATCH', 'put that ends early')
      await t.lacks(t.key('blob'))
      await t.clean()
    },
  },
  'short-overwrite': {
    title: 'an overwrite that is given less than its size leaves the former blob',
    why: 'The copy that was there may be the only one.',
    async run(t) {
      await t.store.put(t.key('blob'), t.bytes(2_000, 1))
      const put = t.store.put(t.key('blob'), streamOf([t.bytes(500, 2)]), { size: 1_000 })
      await rejects(put, 'SIZE_MISMATCH', 'the short overwrite')
      await t.holds(t.key('blob'), t.bytes(2_000, 1))
    },
  },
})

async function checkEmpty(t: Ctx, chunks: readonly Uint8Array[], size?: number): Promise<void> {
  const stored = await t.store.put(t.key('empty'), streamOf(chunks), size === undefined ? {} : { size })
  equal(stored.size, 0, 'the size that put returns')
  await t.holds(t.key('empty'), new Uint8Array())
  equal(await t.names(), ['empty'], 'what list yields')
}

async function checkLarge(t: Ctx, size: number, passed: (bytes: number) => void = () => {}): Promise<void> {
  const [sent, received] = [new Tally(passed), new Tally(passed)]
  const stored = await t.store.put(t.key('blob'), sent.of(payloadStream(t.seed, 1, size, MIB)), { size })
  equal(stored.size, size, 'the size that put returns')
  for await (const _ of received.of((await t.store.get(t.key('blob'))).body));
  equal(received.size, size, 'the number of bytes read')
  equal(received.hash.digest('hex'), sent.hash.digest('hex'), 'the digest of what was read')
}

/** Counts and hashes the bytes that pass. */
class Tally {
  size = 0
  readonly hash = createHash('sha256')
  readonly #passed: (bytes: number) => void

  constructor(passed: (bytes: number) => void) {
    this.#passed = passed
  }

  async *of(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of body) {
      this.size += chunk.length
      this.hash.update(chunk)
      this.#passed(chunk.length)
      yield chunk
    }
  }
}
