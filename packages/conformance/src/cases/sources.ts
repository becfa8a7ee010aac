import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Readable } from 'node:stream'
import { StorageError } from '@stored/core/backend'
import { all, type Ctx, capability, defineCases, hook } from '../case.ts'
import { check, equal, eventually, rejects, settle, started } from '../expect.ts'
import { chunksOf, failingAfter, HeldSource } from '../source.ts'
import type { Body } from '../subject.ts'

const SIZE = 200_000
const CHUNK = 20_000
/** More than a driver buffers before it checks its signal again. */
const LARGE = 200 * CHUNK
const RELEASE_MS = 5_000
const HALF_STORED = 'A failing source is a broken connection upstream; storing what arrived stores half a blob.'

export const sources = defineCases('src', {
  first: failing('before its first chunk', 0),
  mid: failing('half-way', SIZE / CHUNK / 2),
  last: failing('after its last chunk', SIZE / CHUNK),
  passes: {
    title: 'put whose source fails rejects with what that failed with, at any chunk',
    why: 'The backend is not at fault: if the error says UNAVAILABLE, everyone waits for the backend because a client hung up.',
    raw: true,
    async run(t) {
      for (const after of [0, 1, SIZE / CHUNK]) {
        const failure = new StorageError('SOURCE_FAILED', { op: 'put' }, { cause: new Error('upstream') })
        const source = failingAfter(chunksOf(t.bytes(SIZE), CHUNK).slice(0, after), failure)
        const reason = await rejects(
          t.store.put(t.key('blob'), source, { size: SIZE }),
          'SOURCE_FAILED',
          `put whose source fails after ${after} chunks`,
        )
        check(reason.cause === failure.cause, 'put rejects with the cause of the source')
      }
      await t.lacks(t.key('blob'))
    },
  },
  over: {
    title: 'an overwrite whose source throws leaves the former blob',
    why: 'The copy that was there may be the only one.',
    async run(t) {
      await t.store.put(t.key('blob'), t.bytes(1_000, 1))
      const put = t.store.put(t.key('blob'), failingAfter(chunksOf(t.bytes(SIZE, 2), CHUNK), new Error('upstream')), {
        size: SIZE,
      })
      check((await settle(put)).status === 'rejected', 'the overwrite rejects, but it resolved')
      await t.holds(t.key('blob'), t.bytes(1_000, 1))
    },
  },
  debris: {
    title: 'put whose source throws leaves no debris',
    why: 'Temporary files and parts add up, one for every broken connection.',
    needs: hook('debris'),
    async run(t) {
      for (const after of [0, 1, SIZE / CHUNK]) {
        const source = failingAfter(chunksOf(t.bytes(SIZE), CHUNK).slice(0, after), new Error('upstream'))
        check(
          (await settle(t.store.put(t.key('dir/blob'), source, { size: SIZE }))).status === 'rejected',
          'put rejects',
        )
      }
      await t.clean()
    },
  },
  destroyed: {
    title: 'put of a stream destroyed without an error rejects and stores nothing',
    why: 'A request that is cut off ends its stream this way: silently.',
    async run(t) {
      const stream = new Readable({ read() {} })
      stream.push(t.bytes(1_000))
      const put = settle(t.guard.put(t.key('blob'), stream, { size: 2_000 }))
      await eventually(() => stream.readableLength === 0, 5_000, 'the first chunk is read')
      stream.destroy()
      check((await put).status === 'rejected', 'put of a destroyed stream rejects, but it resolved')
      await t.lacks(t.key('blob'))
    },
  },
  released: {
    title: 'put that fails half-way releases its source once',
    why: 'A source that is never closed keeps its file or connection open.',
    raw: true,
    run: (t) => (t.view === 'raw' ? releasedByDriver(t) : releasedByGuard(t)),
  },
  type: {
    title: 'put of a source that yields text rejects with INVALID_ARGUMENT and stores nothing',
    why: 'Text has no bytes until someone chooses an encoding.',
    async run(t) {
      for (const chunk of ['text', 7, null, { length: 3 }]) {
        const source = (async function* () {
          yield t.bytes(10)
          yield chunk
        })() as Body
        await rejects(
          t.store.put(t.key('blob'), source, { size: 20 }),
          'INVALID_ARGUMENT',
          `put of ${typeof chunk} chunks`,
        )
      }
      await t.lacks(t.key('blob'))
    },
  },
  file: {
    title: 'put given the file that its body reads stores those bytes, once the body has proved them',
    why: 'A clone published before its bytes were verified spreads a bit that flipped on the disk.',
    needs: all(capability('usesFile')),
    proves: ['usesFile'],
    async run(t) {
      const directory = await mkdtemp(path.join(tmpdir(), 'stored-conformance-'))
      try {
        for (const size of [0, 1, SIZE]) {
          const [bytes, file] = [t.bytes(size), path.join(directory, String(size))]
          await writeFile(file, bytes)
          await putFile(t, file, bytes)
          await putWrongFile(t, file, bytes)
        }
        await putFile(t, path.join(directory, 'gone'), t.bytes(SIZE))
      } finally {
        await rm(directory, { recursive: true })
      }
    },
  },
})

async function releasedByGuard(t: Ctx): Promise<void> {
  const { guard } = await t.spied({
    async put(key: string, body: AsyncIterable<Uint8Array>): Promise<never> {
      for await (const _ of body) break
      throw new StorageError('UNAVAILABLE', { op: 'put', key })
    },
  })
  const source = new HeldSource(chunksOf(t.bytes(SIZE), CHUNK), Number.POSITIVE_INFINITY)
  await rejects(guard.put(t.key('blob'), source, { size: source.size }), 'UNAVAILABLE', 'put whose driver fails')
  equal(source.returns, 1, 'how often the source was released')
  await t.lacks(t.key('blob'))
}

/** An abort makes any driver fail between two chunks. */
async function releasedByDriver(t: Ctx): Promise<void> {
  const abort = new AbortController()
  const source = new HeldSource(chunksOf(t.bytes(LARGE), CHUNK), 2)
  const put = started(t.store.put(t.key('blob'), source, { size: source.size, signal: abort.signal }))
  await source.reachedBy(put)
  abort.abort(new Error('stop'))
  source.release()
  check((await settle(put)).status === 'rejected', 'put rejects after its abort, but it resolved')
  const isOver = () => source.returns === 1 || source.pulls > LARGE / CHUNK
  await eventually(isOver, RELEASE_MS, 'the source is released')
}

function failing(when: string, after: number) {
  return {
    title: `put whose source throws ${when} rejects with that error as its cause and stores nothing`,
    why: HALF_STORED,
    async run(t: Ctx) {
      const upstream = new Error('upstream')
      const chunks = chunksOf(t.bytes(SIZE), CHUNK).slice(0, after)
      const { status, reason } = (await settle(
        t.store.put(t.key('blob'), failingAfter(chunks, upstream), { size: SIZE }),
      )) as PromiseRejectedResult
      check(status === 'rejected', 'put rejects, but it resolved')
      check(
        StorageError.is(reason) && reason.code === 'SOURCE_FAILED' && reason.cause === upstream,
        'put rejects with SOURCE_FAILED, whose cause is what the source threw',
      )
      await t.lacks(t.key('blob'))
    },
  }
}

async function putFile(t: Ctx, file: string, bytes: Uint8Array): Promise<void> {
  const source = new HeldSource(chunksOf(bytes, CHUNK), Number.POSITIVE_INFINITY)
  const sent: number[] = []
  const hinted = { ...hintOf(file, bytes), onSent: (total: number) => void sent.push(total), signal: t.signal }
  const driver = await t.driver()
  const stored = await driver.put(t.key('file'), source, hinted)
  equal(source.pulls, Math.ceil(bytes.length / CHUNK) + 1, 'the chunks asked for, the end included')
  equal(stored.size, bytes.length, 'the size that put returns')
  check(
    sent.every((total, i) => total >= (sent[i - 1] ?? 0)),
    'the totals told to onSent never fall',
  )
  await t.holds(t.key('file'), bytes)
}

/** The file is intact; what its body reports counts. */
async function putWrongFile(t: Ctx, file: string, bytes: Uint8Array): Promise<void> {
  const wrong = new StorageError('CHECKSUM_MISMATCH', { op: 'put' })
  const put = async (key: string) => {
    const body = failingAfter(chunksOf(bytes, CHUNK), wrong)
    const hinted = { ...hintOf(file, bytes), signal: t.signal }
    await rejects((await t.driver()).put(key, body, hinted), 'CHECKSUM_MISMATCH', 'put whose body throws at its end')
  }
  await put(t.key('wrong'))
  await t.lacks(t.key('wrong'))
  await t.store.put(t.key('former'), t.bytes(100, 1))
  await put(t.key('former'))
  await t.holds(t.key('former'), t.bytes(100, 1))
}

function hintOf(file: string, bytes: Uint8Array) {
  return { size: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex'), file }
}
