import { all, type Ctx, capability, defineCases, hook } from '../case.ts'
import { type ChildTask, killAtReached } from '../child.ts'
import { check, checkCode, equal, nextTurn, sameBytes, settle, started, within } from '../expect.ts'
import { payload, writerOf } from '../payload.ts'
import { chunksOf, collect, HeldSource, halved, streamOf } from '../source.ts'
import type { Subject } from '../subject.ts'
import { readAround } from './stat-delete.ts'

const INVISIBLE = 'A reader that sees half a blob caches it, copies it and passes it on as the whole.'
const HOUR_MS = 3_600_000
const PATIENCE_MS = 1_000
/** Larger than the buffers between a medium and its reader. */
const LARGE = 1 << 20

export const atomicity = defineCases('at', {
  shrink: {
    title: 'an overwrite with fewer bytes leaves no tail of the former blob',
    why: 'A file that is overwritten without being truncated keeps its old end.',
    raw: true,
    async run(t) {
      await t.store.put(t.key('blob'), t.bytes(100_000, 1))
      await t.store.put(t.key('blob'), t.bytes(1_000, 2))
      await t.holds(t.key('blob'), t.bytes(1_000, 2))
    },
  },
  'hidden-new': {
    title: 'a blob being put is neither found, nor read, nor listed before put resolves',
    why: INVISIBLE,
    raw: true,
    async run(t) {
      const other = await t.open()
      const source = halved(t.bytes(LARGE))
      const put = started(t.store.put(t.key('blob'), source, { size: source.size }))
      await source.reachedBy(put)
      for (const view of [t.store, other]) await t.lacks(t.key('blob'), view)
      source.release()
      await put
      await t.holds(t.key('blob'), t.bytes(LARGE), other)
    },
  },
  'hidden-old': {
    title: 'while a blob is overwritten its former bytes are found, read and listed',
    why: INVISIBLE,
    raw: true,
    async run(t) {
      const other = await t.open()
      await t.store.put(t.key('blob'), t.bytes(300_000, 1))
      const source = halved(t.bytes(LARGE, 2))
      const put = started(t.store.put(t.key('blob'), source, { size: source.size }))
      await source.reachedBy(put)
      for (const view of [t.store, other]) await t.holds(t.key('blob'), t.bytes(300_000, 1), view)
      source.release()
      await put
      await t.holds(t.key('blob'), t.bytes(LARGE, 2), other)
    },
  },
  'pinned-reader': {
    title: 'a reader opened before an overwrite yields the former bytes to their end, or throws CONFLICT',
    why: 'Two halves of two versions make a blob that nobody ever wrote.',
    raw: true,
    async run(t) {
      const [before, after] = [t.bytes(4 * LARGE, 1), t.bytes(4 * LARGE, 2)]
      await t.store.put(t.key('blob'), before)
      const { body } = await t.store.get(t.key('blob'))
      const outcome = await settle(readAround(body, () => t.store.put(t.key('blob'), after)))
      if (outcome.status === 'fulfilled') sameBytes(t.seed, outcome.value, before, 'what the reader got')
      else checkCode(outcome.reason, ['CONFLICT'], 'the reader')
    },
  },
  poll: {
    title: 'during 50 overwrites every read yields one version, whole',
    why: INVISIBLE,
    declare: 'atomicOverwrite: false, where only an absence shows for a moment',
    proves: ['atomicOverwrite'],
    run: (t) =>
      duringOverwrites(t, async (store, key) => {
        const { stat, body } = await store.get(key)
        const bytes = await collect(body)
        sameBytes(t.seed, bytes, t.bytes(sizeOfVersion(writerOf(bytes)), writerOf(bytes)), 'what was read')
        equal(stat.size, bytes.length, 'the size beside the body')
      }),
  },
  'poll-stat': {
    title: 'during 50 overwrites every stat gives the size of one version',
    why: INVISIBLE,
    declare: 'atomicOverwrite: false, where only an absence shows for a moment',
    run: (t) =>
      duringOverwrites(t, async (store, key) => {
        const stat = await store.stat(key)
        if (stat === null) check(t.capabilities.atomicOverwrite === false, 'stat finds the blob, but it answered null')
        else check(VERSION_SIZES.has(stat.size), `stat gives the size of a version, but it gave ${stat.size}`)
      }),
  },
  dual: {
    title: 'of two puts of one key whose chunks alternate one is there, whole',
    why: 'Two writers that share a temporary name, or the final one, interleave their bytes.',
    raw: true,
    async run(t) {
      const other = await t.open()
      const [a, b] = [1, 2].map((writer) => new HeldSource(chunksOf(t.bytes(LARGE, writer), 64 << 10), 8)) as [
        HeldSource,
        HeldSource,
      ]
      const puts = [
        started(t.store.put(t.key('blob'), a, { size: a.size })),
        started(other.put(t.key('blob'), b, { size: b.size })),
      ] as const
      await a.reachedBy(puts[0])
      // The second may be refused, or made to wait for the first.
      await settle(within(b.reachedBy(puts[1]), PATIENCE_MS, 'the second put'))
      a.release()
      b.release()
      await survivorAmong(t, t.key('blob'), LARGE, await Promise.allSettled(puts))
    },
  },
  many: {
    title: 'of 16 puts of one key at once each resolves or rejects with CONFLICT, and one that resolved is there',
    why: 'A put that resolved and left nothing, or left the bytes of one that failed, is a lost write.',
    async run(t) {
      const other = await t.open()
      const puts = Array.from({ length: 16 }, (_, i) =>
        (i % 2 ? t.store : other).put(t.key('deep/blob'), streamOf(chunksOf(t.bytes(50_000, i + 1), 10_000)), {
          size: 50_000,
        }),
      )
      await survivorAmong(t, t.key('deep/blob'), 50_000, await Promise.allSettled(puts))
    },
  },
  order: {
    title: 'of puts one after another the last is there',
    why: 'A write that is acknowledged before it is applied can be applied after the next.',
    async run(t) {
      const other = await t.open()
      for (let writer = 1; writer <= 10; writer++) {
        await (writer % 2 ? t.store : other).put(t.key('blob'), t.bytes(1_000, writer))
        await t.holds(t.key('blob'), t.bytes(1_000, writer))
      }
    },
  },
  'put-delete': {
    title: 'a put and a delete at once leave the whole blob, or nothing',
    why: 'One removes a parent directory while the other writes into it.',
    async run(t) {
      const other = await t.open()
      for (let round = 0; round < 20; round++) {
        const key = t.key(`d${round}/e/blob`)
        await t.store.put(key, t.bytes(1_000, 1))
        const [put, deletion] = await Promise.allSettled([t.store.put(key, t.bytes(2_000, 2)), other.delete(key)])
        for (const outcome of [put, deletion])
          if (outcome.status === 'rejected') checkCode(outcome.reason, ['CONFLICT'], 'the put or delete')
        const left = await settle(t.read(key))
        if (left.status === 'rejected') checkCode(left.reason, ['NOT_FOUND'], 'get after put and delete')
        else sameBytes(t.seed, left.value, t.bytes(sizeOf(left.value), writerOf(left.value)), 'what is left')
      }
    },
  },
  'crash-new': {
    title: 'a put killed half-way leaves nothing that is found or listed',
    why: INVISIBLE,
    needs: hook('child'),
    timeoutMs: 120_000,
    async run(t) {
      const key = t.key('dir/blob')
      await killAtReached(t.harness.child as string, task(t, key, 'hang'))
      await t.lacks(key)
      equal(await t.names(), [], 'the list')
      await killAtReached(t.harness.child as string, task(t, key, 'race'))
      if ((await t.store.stat(key)) === null) await t.lacks(key)
      else await t.holds(key, t.bytes(LARGE, 2))
    },
  },
  'crash-over': {
    title: 'an overwrite killed half-way leaves the former blob',
    why: 'The copy that was there may be the only one.',
    needs: hook('child'),
    timeoutMs: 120_000,
    async run(t) {
      const key = t.key('dir/blob')
      await t.store.put(key, t.bytes(1_000, 1))
      await killAtReached(t.harness.child as string, task(t, key, 'hang'))
      await t.holds(key, t.bytes(1_000, 1))
      equal(await t.names(), ['dir/blob'], 'the list')
      await killAtReached(t.harness.child as string, task(t, key, 'race'))
      const writer = writerOf(await t.read(key))
      await t.holds(key, writer === 1 ? t.bytes(1_000, 1) : t.bytes(LARGE, 2))
    },
  },
  sweep: {
    title: 'sweep removes the debris of killed puts, and spares one under way',
    why: 'A sweep that takes a live upload for debris loses it; one that takes nothing fills the disk.',
    needs: all(capability('sweep')),
    proves: ['sweep'],
    timeoutMs: 120_000,
    async run(t) {
      const other = await t.open()
      const source = halved(t.bytes(LARGE))
      const put = started(t.store.put(t.key('live'), source, { size: source.size }))
      await source.reachedBy(put)
      // On a shared storage, only a year-old upload is certainly abandoned.
      const olderThanMs = t.harness.shared ? 365 * 24 * HOUR_MS : HOUR_MS
      await t.guard.sweep({ olderThanMs })
      await (await t.driver()).sweep?.({ olderThanMs, signal: t.signal })
      source.release()
      await put
      await t.holds(t.key('live'), t.bytes(LARGE), other)
      if (t.harness.child === undefined || t.harness.shared) return
      // More than two parts, so that half of it exceeds one part: a kill during a single part may leave nothing.
      const size = Math.max(LARGE, 4 * (t.capabilities.limits?.partSize ?? 0))
      await killAtReached(t.harness.child, { ...task(t, t.key('dead'), 'hang'), size })
      const swept = await t.guard.sweep({ olderThanMs: 0 })
      check(swept >= 1, `sweep counts what the killed put left, but it counted ${swept}`)
      await t.clean()
      await t.holds(t.key('live'), t.bytes(LARGE), other)
    },
  },
})

/** Each version has its own size, so that the size alone identifies it. */
function sizeOfVersion(writer: number): number {
  return 100_000 + writer * 1_000
}

const VERSIONS = Array.from({ length: 50 }, (_, i) => i + 1)
const VERSION_SIZES = new Set([0, ...VERSIONS].map(sizeOfVersion))

async function duringOverwrites(t: Ctx, read: (store: Subject, key: string) => Promise<void>): Promise<void> {
  const [key, reader] = [t.key('blob'), await t.open()]
  await t.store.put(key, t.bytes(sizeOfVersion(0), 0))
  let done = false
  const overwrites = (async () => {
    for (const writer of VERSIONS) {
      const size = sizeOfVersion(writer)
      await t.store.put(key, streamOf(chunksOf(t.bytes(size, writer), 16_384)), { size })
    }
  })().finally(() => {
    done = true
  })
  const reads = (async () => {
    do {
      const outcome = await settle(read(reader, key))
      if (outcome.status === 'rejected') tolerate(t, outcome.reason)
      // A medium that answers immediately would never let the other run.
      await nextTurn()
    } while (!done)
  })()
  await Promise.all([overwrites, reads])
  // All earlier reads may have been overtaken.
  await read(reader, key)
}

function tolerate(t: Ctx, error: unknown): void {
  const { code } = error as { code?: string }
  if (code === 'CONFLICT' || (code === 'NOT_FOUND' && t.capabilities.atomicOverwrite === false)) return
  throw error
}

/**
 * Expects that each put resolved or rejected with CONFLICT, and that the stored blob is whole and comes from one that
 * resolved.
 */
async function survivorAmong(t: Ctx, key: string, size: number, puts: PromiseSettledResult<unknown>[]): Promise<void> {
  const resolved: number[] = []
  for (const [i, put] of puts.entries())
    if (put.status === 'fulfilled') resolved.push(i + 1)
    else checkCode(put.reason, ['CONFLICT'], `put ${i + 1}`)
  check(resolved.length > 0, 'at least one put resolves, but all rejected')
  const bytes = await t.read(key)
  const writer = writerOf(bytes)
  sameBytes(t.seed, bytes, payload(t.seed, writer, size), 'what is there')
  check(resolved.includes(writer), `what is there is by a put that resolved, ${resolved}, but it is by ${writer}`)
  await t.holds(key, bytes)
}

function task(t: Ctx, key: string, until: ChildTask['until']): ChildTask {
  return { key, seed: t.seed, writer: 2, size: LARGE, until }
}

function sizeOf(bytes: Uint8Array): number {
  return writerOf(bytes) === 1 ? 1_000 : 2_000
}
