import { absent, all, type Ctx, capability, defineCases, outOfProcess, rawOnly } from '../case.ts'
import { check, equal, rejects, sameBytes } from '../expect.ts'
import { payload, payloadStream, randomFrom } from '../payload.ts'
import { chunksOf, collect, streamOf } from '../source.ts'

const MIB = 1 << 20
const SIZE = 10_000
/** More than the guard reads and discards for a driver without ranges. */
const BEYOND_DISCARD_BYTES = 16 * MIB + 1
const OFF_BY_ONE = 'Ends that are inclusive here and exclusive there are the oldest bug of ranges.'
const ranged = rawOnly(capability('range'))

export const ranges = defineCases('rg', {
  middle: slice('a range from the middle', 1_000, 2_345),
  first: slice('the first byte', 0, 1),
  last: slice('the last byte', SIZE - 1, 1),
  'to-end': slice('a range without a length', 4_321),
  over: {
    title: 'get of a range that ends past the end yields what exists',
    why: 'Readers ask for whole buffers, also at the end.',
    run: (t) => checkSlices(t, [[SIZE - 10, 100]]),
  },
  'at-size': {
    title: 'get at an offset equal to the size rejects with RANGE_NOT_SATISFIABLE',
    why: 'An empty response looks like the end of a shorter blob.',
    run: (t) => unsatisfiable(t, SIZE),
  },
  past: {
    title: 'get from past the end rejects with RANGE_NOT_SATISFIABLE',
    why: 'Services differ here: one answers 416, one the whole blob, one nothing.',
    run: (t) => unsatisfiable(t, SIZE + 1_000),
  },
  'zero-length': {
    title: 'get of length 0 yields nothing if there is a blob, and NOT_FOUND if there is none',
    why: '`bytes=5-4` is not a valid range: services answer it with the whole blob.',
    async run(t) {
      const key = await stored(t)
      const got = await t.store.get(key, { offset: 5, length: 0 })
      equal((await collect(got.body)).length, 0, 'the number of bytes')
      equal(got.stat.size, SIZE, 'the size of the blob')
      await rejects(t.store.get(t.key('none'), { offset: 0, length: 0 }), 'NOT_FOUND', 'get of length 0 of nothing')
    },
  },
  'empty-object': {
    title: 'get from offset 0 of an empty blob yields nothing',
    why: 'A reader that starts at 0 does not yet know that the blob is empty.',
    async run(t) {
      await t.store.put(t.key('empty'), new Uint8Array(), { size: 0 })
      equal((await collect((await t.store.get(t.key('empty'), { offset: 0 })).body)).length, 0, 'the number of bytes')
      equal((await collect((await t.store.get(t.key('empty'), { offset: 0, length: 5 })).body)).length, 0, 'the number')
    },
  },
  bad: {
    title: 'get of an invalid range rejects with INVALID_ARGUMENT',
    why: 'Servers ignore `bytes=NaN-`, and the whole blob is taken for a part.',
    async run(t) {
      const key = await stored(t)
      for (const value of [-1, Number.NaN, 1.5, 2 ** 53, Number.POSITIVE_INFINITY]) {
        await rejects(t.store.get(key, { offset: value }), 'INVALID_ARGUMENT', `get of offset ${value}`)
        await rejects(t.store.get(key, { length: value }), 'INVALID_ARGUMENT', `get of length ${value}`)
      }
    },
  },
  'last-n': {
    title: 'get of the last 3 bytes yields them, and of more than there are the whole blob',
    why: 'Some services refuse a suffix that is longer than the blob.',
    async run(t) {
      const key = await stored(t)
      for (const last of [3, SIZE, 10 * SIZE]) {
        const { body } = await t.guard.get(key, { last })
        sameBytes(t.seed, await collect(body), t.bytes(SIZE).subarray(-last), `the last ${last} bytes`)
      }
    },
  },
  straddle: {
    title: 'get of a range across the edge of a part yields exactly it',
    why: 'Blobs stored in parts are read from several of them.',
    profile: 'full',
    async run(t) {
      const part = t.capabilities.limits?.partSize ?? 8 * MIB
      const bytes = t.bytes(2 * part + 100)
      await t.store.put(t.key('blob'), streamOf(chunksOf(bytes, 256 << 10)), { size: bytes.length })
      for (const [offset, length] of [
        [part - 5, 10],
        [part, part],
        [part - 1, part + 2],
      ] as const)
        await checkSlice(t, t.key('blob'), bytes, offset, length)
    },
  },
  assemble: {
    title: '32 random ranges at once put together give the blob',
    why: 'Parallel downloads are ranges of one blob over shared connections.',
    profile: 'full',
    async run(t) {
      const bytes = t.bytes(4 * MIB)
      await t.store.put(t.key('blob'), bytes)
      const random = randomFrom(t.seed)
      const cuts = [0, ...Array.from({ length: 31 }, () => Math.floor(random() * bytes.length)), bytes.length]
      cuts.sort((a, b) => a - b)
      const parts = cuts.slice(1).map(async (end, i) => {
        const offset = cuts[i] as number
        return end === offset
          ? new Uint8Array()
          : collect((await t.store.get(t.key('blob'), { offset, length: end - offset })).body)
      })
      sameBytes(t.seed, Buffer.concat(await Promise.all(parts)), bytes, 'the blob put together')
    },
  },
  '4g': {
    title: 'get of a range beyond 4 GiB yields exactly it',
    why: '32-bit offsets wrap to 0.',
    profile: 'soak',
    needs: outOfProcess,
    async run(t) {
      const size = 2 ** 32 + 1_000
      await t.store.put(t.key('blob'), payloadStream(t.seed, 1, size, MIB), { size })
      const { body } = await t.store.get(t.key('blob'), { offset: 2 ** 32 + 7, length: 100 })
      sameBytes(t.seed, await collect(body), payload(t.seed, 1, 100, 2 ** 32 + 7), 'the range')
    },
  },
  emulated: {
    title: 'without ranges get of a near range is the same, and of a far one UNSUPPORTED',
    why: 'Gigabytes read and discarded look like a fast range until the bill comes.',
    needs: absent('range'),
    async run(t) {
      await checkSlices(t, [
        [0, 1],
        [1_000, 2_345],
        [SIZE - 1, 1],
        [4_321, undefined],
      ])
      const size = BEYOND_DISCARD_BYTES + 10
      await t.store.put(t.key('far'), payloadStream(t.seed, 1, size, MIB), { size })
      await rejects(t.store.get(t.key('far'), { offset: BEYOND_DISCARD_BYTES }), 'UNSUPPORTED', 'get of a far range')
      t.refused('range')
    },
  },
})

function slice(what: string, offset: number, length?: number) {
  return {
    title: `get of ${what} yields exactly it, and the size of the whole blob`,
    why: OFF_BY_ONE,
    raw: true as const,
    needs: all(ranged),
    proves: ['range'] as const,
    run: (t: Ctx) => checkSlices(t, [[offset, length]]),
  }
}

async function stored(t: Ctx): Promise<string> {
  await t.store.put(t.key('blob'), t.bytes(SIZE), { size: SIZE })
  return t.key('blob')
}

async function checkSlices(t: Ctx, slices: readonly (readonly [number, number | undefined])[]): Promise<void> {
  const key = await stored(t)
  for (const [offset, length] of slices) await checkSlice(t, key, t.bytes(SIZE), offset, length)
}

async function checkSlice(t: Ctx, key: string, bytes: Uint8Array, offset: number, length?: number): Promise<void> {
  const got = await t.store.get(key, length === undefined ? { offset } : { offset, length })
  const expected = bytes.subarray(offset, length === undefined ? undefined : offset + length)
  check(
    got.stat.size === bytes.length,
    `stat.size is that of the whole blob, ${bytes.length}, but it is ${got.stat.size}`,
  )
  sameBytes(t.seed, await collect(got.body), expected, `the range ${offset}+${length ?? ''}`)
}

async function unsatisfiable(t: Ctx, offset: number): Promise<void> {
  const key = await stored(t)
  await rejects(t.store.get(key, { offset }), 'RANGE_NOT_SATISFIABLE', `get from ${offset} of ${SIZE} bytes`)
}
