import { createHash } from 'node:crypto'
import type { GuardedBackend, GuardedPutOptions } from '@stored/core'
import { StorageError } from '@stored/core/backend'
import { absent, all, type Ctx, capability, defineCases, hook } from '../case.ts'
import type { ChaosProxy } from '../chaos-proxy.ts'
import { killWithCheckpoint } from '../child.ts'
import { check, eventually, rejects, settle, started } from '../expect.ts'
import { sleep } from '../slow.ts'
import { chunksOf, HeldSource, streamOf } from '../source.ts'
import { putCutAfter, SETTLE_MS, wholeOrAbsent } from './wire.ts'

const CHUNK_BYTES = 64 << 10
/** The part size if a driver declares none. */
const PART_BYTES = 1 << 20
/** Parts of a blob; a driver has received all but one and a half when it is cut off. */
const PARTS = 4
const HANDED_PARTS = 3
/** How long a connection is silent once everything sent has been answered, in milliseconds. */
const QUIET_MS = 300
/** A protocol's overhead on the bytes of a blob. */
const OVERHEAD = 0.1
const NOT_AGAIN = 'A large blob on a bad line never arrives if each attempt starts at its first byte.'
const NO_MIX =
  'A blob of two halves that do not belong together has the right size, and the fault shows only when it is read.'
/** Not a checkpoint of any driver. */
const GARBAGE = ['', ' ', 'no checkpoint', '{}', '[]', 'null', '{"id":1}', '\u0000', '0'.repeat(1000)]

const resumes = capability('resume')

export const resume = defineCases('rs', {
  'goes-on': {
    title: 'put that was aborted half-way resumes from its checkpoint in another instance, and the blob is whole',
    why: NOT_AGAIN,
    needs: resumes,
    proves: ['resume'],
    async run(t) {
      const [key, bytes] = [t.key('blob'), bytesOf(t)]
      const checkpoint = await putPart(t, t.guard, key, bytes)
      await t.lacks(key)
      const { guard } = await t.spied()
      await guard.put(key, chunks(bytes), { ...named(bytes), checkpoint, onCheckpoint: keepNothing })
      await t.holds(key, bytes)
      await t.clean()
    },
  },
  kill: {
    title: 'put whose process was killed half-way resumes from its checkpoint',
    why: NOT_AGAIN,
    needs: all(resumes, hook('child')),
    timeoutMs: 120_000,
    async run(t) {
      const [key, size] = [t.key('blob'), sizeOf(t)]
      const task = { key, size, seed: t.seed, writer: 1, until: 'resume' } as const
      const checkpoint = await killWithCheckpoint(t.harness.child as string, task)
      await t.lacks(key)
      const bytes = t.bytes(size)
      await t.guard.put(key, chunks(bytes), { ...named(bytes), checkpoint, onCheckpoint: keepNothing })
      await t.holds(key, bytes)
      await t.clean()
    },
  },
  cut: {
    title: 'put whose connection breaks resumes from its checkpoint, wherever it broke',
    why: NO_MIX,
    needs: all(resumes, hook('endpoint')),
    timeoutMs: 120_000,
    async run(t) {
      const bytes = bytesOf(t)
      for (const share of [0.3, 0.6, 0.9]) {
        const [key, { guard, proxy }] = [t.key(`blob${share}`), await t.through()]
        const keeper = new Keeper()
        const put = () => guard.put(key, chunks(bytes), { ...named(bytes), onCheckpoint: keeper.keep })
        await wholeOrAbsent(t, key, bytes, await putCutAfter(t, proxy, Math.floor(share * bytes.length), put))
        await guard.put(key, chunks(bytes), { ...named(bytes), ...keeper.given, onCheckpoint: keeper.keep })
        await t.holds(key, bytes)
      }
      await t.clean()
    },
  },
  resent: {
    title: 'put that resumes sends again at most one part of what had arrived',
    why: NOT_AGAIN,
    needs: all(resumes, hook('endpoint')),
    timeoutMs: 120_000,
    async run(t) {
      const [key, bytes] = [t.key('blob'), bytesOf(t)]
      const { guard, proxy } = await t.through()
      const checkpoint = await putPart(t, guard, key, bytes, { cut: () => quiet(t, proxy) })
      const before = proxy.bytes.up
      await guard.put(key, chunks(bytes), { ...named(bytes), checkpoint, onCheckpoint: keepNothing })
      const [sent, limit] = [proxy.bytes.up - before, (PARTS - HANDED_PARTS + 1 + PARTS * OVERHEAD) * partOf(t)]
      check(sent <= limit, `the second put sends at most ${limit} bytes, but it sent ${sent} of ${bytes.length}`)
      await t.holds(key, bytes)
    },
  },
  stale: {
    title: 'put with a checkpoint that is meaningless or stale starts over',
    why: 'A saved checkpoint outlives its upload: if that is always an error, the blob is blocked forever.',
    needs: resumes,
    async run(t) {
      const [key, bytes] = [t.key('blob'), bytesOf(t)]
      const keeper = new Keeper()
      await t.guard.put(key, chunks(bytes), { ...named(bytes), onCheckpoint: keeper.keep })
      for (const checkpoint of [...GARBAGE, ...keeper.all]) {
        await t.guard.delete(key)
        await t.guard.put(key, chunks(bytes), { ...named(bytes), checkpoint, onCheckpoint: keepNothing })
        await t.holds(key, bytes)
      }
      await t.clean()
    },
  },
  'other-bytes': {
    title: 'put of another blob, or at another key, with the checkpoint of this one starts over',
    why: NO_MIX,
    needs: resumes,
    async run(t) {
      const [mine, other] = [bytesOf(t, 1), bytesOf(t, 2)]
      const checkpoint = await putPart(t, t.guard, t.key('blob'), mine)
      const options = { checkpoint, onCheckpoint: keepNothing }
      await t.guard.put(t.key('blob'), chunks(other), { ...named(other), ...options })
      await t.holds(t.key('blob'), other)
      await t.guard.put(t.key('elsewhere'), chunks(mine), { ...named(mine), ...options })
      await t.holds(t.key('elsewhere'), mine)
      await t.holds(t.key('blob'), other)
      await t.guard.put(t.key('blob'), chunks(mine), { ...named(mine), ...options })
      await t.holds(t.key('blob'), mine)
      await t.clean()
    },
  },
  'wrong-bytes': {
    title: 'put that resumes after bytes that were not those of the blob replaces them with the right ones',
    why: 'A source that was read wrong once is read right the next time: the checksum of that reading proves nothing about what arrived.',
    needs: resumes,
    async run(t) {
      const [key, wrong, right] = [t.key('blob'), bytesOf(t, 2), bytesOf(t, 1)]
      const checkpoint = await putPart(t, t.guard, key, wrong, { as: right })
      await t.guard.put(key, chunks(right), { ...named(right), checkpoint, onCheckpoint: keepNothing })
      await t.holds(key, right)
      await t.clean()
    },
  },
  taken: {
    title: 'put with ifAbsent that resumes at a key that was taken since rejects with ALREADY_EXISTS',
    why: 'StoreD never overwrites an object that it did not write.',
    needs: all(resumes, capability('ifAbsent')),
    async run(t) {
      const [key, bytes] = [t.key('blob'), bytesOf(t)]
      const checkpoint = await putPart(t, t.guard, key, bytes, { ifAbsent: true })
      await t.guard.put(key, t.bytes(1_000, 2))
      const options = { ...named(bytes), checkpoint, onCheckpoint: keepNothing, ifAbsent: true }
      await rejects(t.guard.put(key, chunks(bytes), options), 'ALREADY_EXISTS', 'the put that goes on')
      await t.holds(key, t.bytes(1_000, 2))
      await t.guard.delete(key)
      await t.guard.put(key, chunks(bytes), options)
      await t.holds(key, bytes)
      await t.clean()
    },
  },
  unkept: {
    title: 'put whose checkpoint cannot be kept rejects and leaves nothing',
    why: 'A process that cannot save a checkpoint has lost the right to write: another process has the job.',
    needs: resumes,
    async run(t) {
      const [key, bytes] = [t.key('blob'), bytesOf(t)]
      const onCheckpoint = () => Promise.reject(new StorageError('CONFLICT', { op: 'keep' }))
      const outcome = await settle(t.guard.put(key, chunks(bytes), { ...named(bytes), onCheckpoint }))
      check(outcome.status === 'rejected', 'the put rejects')
      await t.lacks(key)
      await t.clean()
    },
  },
  undeclared: {
    title: 'put with a checkpoint rejects with UNSUPPORTED if resume is not declared',
    why: 'A caller that passes a checkpoint relies on it.',
    needs: absent('resume'),
    async run(t) {
      const [key, bytes] = [t.key('blob'), t.bytes(1_000)]
      for (const options of [{ checkpoint: '' }, { onCheckpoint: keepNothing }])
        await rejects(t.guard.put(key, bytes, { ...named(bytes), ...options }), 'UNSUPPORTED', 'the put')
      await t.lacks(key)
      t.refused('resume')
    },
  },
})

/** Remembers the checkpoints of a put. */
class Keeper {
  readonly all: string[] = []

  readonly keep = async (checkpoint: string): Promise<void> => {
    this.all.push(checkpoint)
  }

  /** The last one, as an option of a put. */
  get given(): { checkpoint?: string } {
    const checkpoint = this.all.at(-1)
    return checkpoint === undefined ? {} : { checkpoint }
  }
}

const keepNothing = async (): Promise<void> => {}

/**
 * Puts `bytes`, and aborts once all but the last part and a half has been sent and a checkpoint was saved.
 *
 * @param o.as The blob that they claim to be. @default the bytes themselves
 * @param o.cut Called before the abort.
 * @returns The last checkpoint.
 */
export async function putPart(
  t: Ctx,
  guard: GuardedBackend,
  key: string,
  bytes: Uint8Array,
  { as = bytes, cut, ...options }: { as?: Uint8Array; cut?: () => Promise<void> } & GuardedPutOptions = {},
): Promise<string> {
  const [keeper, end] = [new Keeper(), new AbortController()]
  const handed = Math.floor(((HANDED_PARTS + 0.5) * partOf(t)) / CHUNK_BYTES)
  const source = new HeldSource(chunksOf(bytes, CHUNK_BYTES), handed)
  const told = { ...named(as), ...options, onCheckpoint: keeper.keep, signal: end.signal }
  const put = started(guard.put(key, source, told))
  await source.reachedBy(put)
  await eventually(() => keeper.all.length > 0, SETTLE_MS, 'a put of several parts gives a checkpoint')
  await cut?.()
  end.abort()
  source.release()
  await rejects(put, 'ABORTED', 'a put that is aborted')
  return keeper.all.at(-1) as string
}

/** Resolves when no more bytes move: everything sent has been answered. */
async function quiet(t: Ctx, { bytes }: ChaosProxy): Promise<void> {
  for (let before = -1; before !== bytes.up + bytes.down; ) {
    before = bytes.up + bytes.down
    await sleep(QUIET_MS, t.signal)
  }
}

function partOf({ capabilities }: Ctx): number {
  return capabilities.limits?.partSize ?? PART_BYTES
}

function sizeOf(t: Ctx): number {
  return PARTS * partOf(t)
}

/** A blob of several parts. */
export function bytesOf(t: Ctx, writer = 1): Uint8Array {
  return t.bytes(sizeOf(t), writer)
}

function chunks(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  return streamOf(chunksOf(bytes, CHUNK_BYTES))
}

function named(bytes: Uint8Array): { size: number; sha256: string } {
  return { size: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') }
}
