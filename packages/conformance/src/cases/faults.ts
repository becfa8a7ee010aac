import { StorageError } from '@stored/core/backend'
import { type Ctx, defineCases, hook } from '../case.ts'
import type { Page } from '../chaos-proxy.ts'
import { check, checkCode, equal, rejects, sameBytes, settle, started, within } from '../expect.ts'
import { sleep } from '../slow.ts'
import { chunksOf, collect, HeldSource, halved, streamOf } from '../source.ts'
import { putCutAfter, putWithoutReply, REPLY_CUTS, SETTLE_MS, wholeOrAbsent } from './wire.ts'

const MB = 1 << 20
/** Short, so that a stall is noticed soon; long enough for a busy machine. */
const IDLE_MS = 800
/**
 * How soon after that a call has ended: below the 2 s after which the guard abandons a driver that ignores its signal.
 */
const SOON_MS = 1_500
/**
 * More than any driver requests at a time. A third of the idle time lets one block pass, so all of them together take
 * three times the idle time.
 */
const BLOCK_BYTES = 256 << 10
const TRICKLED_BYTES = 9 * BLOCK_BYTES
const NEVER_HALF = 'A connection that breaks must not leave half a blob that looks whole.'
const FOR_EVER = 'Without it a call waits forever for a peer that is gone.'
const RETRY_MS = 1_000

/** Also well-formed XML. */
const SIGN_IN = '<html><head><title>Welcome</title></head><body><p>Please sign in.</p></body></html>'
const PAGES: readonly Page[] = [
  { status: 200, html: SIGN_IN },
  { status: 204, html: '' },
  { status: 302, html: SIGN_IN, headers: { location: 'http://127.0.0.1:1/login' } },
  { status: 403, html: SIGN_IN },
  { status: 404, html: SIGN_IN },
  { status: 502, html: SIGN_IN },
]

const endpoint = hook('endpoint')

export const faults = defineCases('ft', {
  refused: {
    title: 'every operation on a server that refuses connections rejects with UNAVAILABLE within 10 s',
    why: 'A server that is down is retried later; any other error looks like a fault of the blob.',
    needs: endpoint,
    provokes: ['UNAVAILABLE'],
    timeoutMs: 120_000,
    async run(t) {
      const { guard, proxy } = await t.through({ retries: 1 })
      const key = t.key('blob')
      proxy.refuse()
      const unavailable = (call: Promise<unknown>, what: string) =>
        within(rejects(call, 'UNAVAILABLE', what), SETTLE_MS, what)
      await unavailable(guard.put(key, t.bytes(1_000)), 'put')
      await unavailable(guard.get(key), 'get')
      await unavailable(guard.stat(key), 'stat')
      await unavailable(guard.delete(key), 'delete')
      await unavailable(guard.list({ prefix: t.scope }).next(), 'list')
      proxy.heal()
      await guard.put(key, t.bytes(1_000))
      await t.holds(key, t.bytes(1_000))
    },
  },
  page: {
    title:
      'a page in place of the server is UNAVAILABLE or MISCONFIGURED to every operation, and says nothing about a blob',
    why: 'The login page of a hotel answers 200 to everything: a put to it is lost, and a blob that it lacks is not absent.',
    needs: endpoint,
    since: '1.1',
    timeoutMs: 120_000,
    async run(t) {
      const { guard, proxy } = await t.through({ retries: 0 })
      const [key, bytes] = [t.key('blob'), t.bytes(1_000)]
      await t.store.put(key, bytes)
      for (const page of PAGES) {
        proxy.show(page)
        const elsewhere = async (call: Promise<unknown>, op: string) => {
          const what = `${op} that is answered with a page, ${page.status}`
          await within(rejects(call, ['UNAVAILABLE', 'MISCONFIGURED'], what), SETTLE_MS, what)
        }
        await elsewhere(guard.put(key, t.bytes(1_000, 2)), 'put')
        await elsewhere(guard.put(t.key('new'), t.bytes(1_000, 2), { size: 1_000 }), 'put')
        await elsewhere(t.read(key, guard), 'get')
        await elsewhere(guard.stat(key), 'stat')
        await elsewhere(guard.delete(key), 'delete')
        await elsewhere(t.names('', guard), 'list')
      }
      proxy.heal()
      await t.holds(key, bytes)
      await t.lacks(t.key('new'))
      await guard.put(key, t.bytes(1_000, 2))
      await t.holds(key, t.bytes(1_000, 2))
    },
  },
  'cut-put': {
    title: 'put whose connection breaks half-way has stored the blob or nothing, and succeeds when retried',
    why: NEVER_HALF,
    needs: endpoint,
    async run(t) {
      const { guard, proxy } = await t.through()
      const [key, bytes] = [t.key('blob'), t.bytes(sizeOf(t))]
      const put = () => guard.put(key, streamOf(chunksOf(bytes, 64 << 10)), { size: bytes.length })
      await wholeOrAbsent(t, key, bytes, await putCutAfter(t, proxy, bytes.length / 2, put))
      await put()
      await t.holds(key, bytes)
      await t.clean()
    },
  },
  'cut-reply': {
    title: 'put whose answer is lost resolves, or rejects as ambiguous; without that word nothing was stored',
    why: "It was stored: a caller that gets a plain error writes it elsewhere, or later takes it for someone else's.",
    needs: endpoint,
    async run(t) {
      const bytes = t.bytes(100_000)
      for (const after of REPLY_CUTS) {
        const key = t.key(`blob${after}`)
        await wholeOrAbsent(t, key, bytes, await putWithoutReply(t, key, bytes, { after }))
      }
    },
  },
  'cut-get': {
    title: 'get whose connection breaks half-way resumes if ranges and etags allow; it never just ends',
    why: 'A truncated file that was cached as whole is served to everyone.',
    needs: endpoint,
    async run(t) {
      const [key, bytes] = [t.key('blob'), t.bytes(4 * MB)]
      await t.store.put(key, bytes)
      const { guard, proxy } = await t.through()
      proxy.cutAfter(bytes.length / 2, 'down')
      const { got, error } = await readThrough(await guard.get(key))
      if (error === undefined) sameBytes(t.seed, got, bytes, 'the blob')
      else {
        check(checkCode(error, ['UNAVAILABLE'], 'the body').retryable, 'the error says that it may be tried again')
        const { range, etag } = t.capabilities
        check(
          range !== true || etag === 'weak',
          'the body goes on: the driver declares ranges and etags that can be trusted',
        )
      }
      sameBytes(t.seed, got, bytes.subarray(0, got.length), 'what was read before the break')
      sameBytes(t.seed, await t.read(key, guard), bytes, 'the blob read again')
    },
  },
  'cut-get-changed': {
    title: 'get that breaks while the blob is overwritten yields one of the two or throws, never a mix',
    why: 'A read that resumes where the connection broke resumes in another blob.',
    needs: endpoint,
    async run(t) {
      const key = t.key('blob')
      const versions = [t.bytes(4 * MB, 1), t.bytes(4 * MB, 2)]
      await t.store.put(key, versions[0] as Uint8Array)
      const { guard, proxy } = await t.through()
      proxy.cutAfter(2 * MB, 'down')
      const opened = await guard.get(key)
      await t.store.put(key, versions[1] as Uint8Array)
      const { got, error } = await readThrough(opened)
      if (error !== undefined) checkCode(error, ['UNAVAILABLE', 'CONFLICT'], 'the body')
      else
        check(
          versions.some((version) => Buffer.compare(version, got) === 0),
          'the body is one of the two blobs',
        )
    },
  },
  'cut-list': {
    title: 'list whose connection breaks lists everything or rejects with UNAVAILABLE; it is never short',
    why: 'What a listing leaves out is taken for deleted.',
    needs: endpoint,
    async run(t) {
      const names = Array.from({ length: 120 }, (_, i) => String(i).padStart(3, '0'))
      for (let at = 0; at < names.length; at += 20)
        await Promise.all(names.slice(at, at + 20).map((name) => t.store.put(t.key(name), t.bytes(1))))
      const { guard, proxy } = await t.through({ retries: 0 })
      for (const bytes of [0, 100, 1_000, 10_000]) {
        proxy.cutAfter(bytes, 'down')
        const listed = await settle(t.names('', guard))
        proxy.heal()
        if (listed.status === 'fulfilled') equal(listed.value.sort(), names, `a listing cut after ${bytes} bytes`)
        else checkCode(listed.reason, ['UNAVAILABLE'], 'list')
      }
      equal((await t.names('', guard)).sort(), names, 'the listing afterwards')
    },
  },
  'stall-put': {
    title: 'put over a connection that has gone silent rejects with TIMEOUT once the idle time is over',
    why: FOR_EVER,
    needs: endpoint,
    provokes: ['TIMEOUT'],
    async run(t) {
      const { guard, proxy } = await t.through({ idleTimeoutMs: IDLE_MS })
      const [key, bytes] = [t.key('blob'), t.bytes(MB)]
      const source = halved(bytes)
      const put = started(guard.put(key, source, { size: source.size }))
      await source.reachedBy(put)
      proxy.stall()
      source.release()
      const outcome = await timesOut(put, 'put')
      proxy.drop()
      proxy.heal()
      await wholeOrAbsent(t, key, bytes, outcome)
    },
  },
  'stall-get': {
    title: 'a body over a connection that has gone silent throws TIMEOUT once the idle time is over',
    why: FOR_EVER,
    needs: endpoint,
    provokes: ['TIMEOUT'],
    async run(t) {
      await t.store.put(t.key('blob'), t.bytes(4 * MB))
      const { guard, proxy } = await t.through({ idleTimeoutMs: IDLE_MS })
      proxy.throttle(2 * MB, 'down')
      const { body } = await guard.get(t.key('blob'))
      const reader = body[Symbol.asyncIterator]()
      await reader.next()
      proxy.stall('down')
      await timesOut(collect({ [Symbol.asyncIterator]: () => reader }), 'the body')
    },
  },
  'slow-alive': {
    title: 'bodies that trickle for longer than the idle time, either way, come through',
    why: 'A timeout for the whole call cuts off users with slow connections, however long it is.',
    needs: endpoint,
    async run(t) {
      const { guard, proxy } = await t.through({ idleTimeoutMs: IDLE_MS })
      const bytes = t.bytes(TRICKLED_BYTES)
      const source = trickle(chunksOf(bytes, BLOCK_BYTES), IDLE_MS / 3, t.signal)
      await guard.put(t.key('blob'), source, { size: bytes.length })
      proxy.throttle((BLOCK_BYTES / (IDLE_MS / 3)) * 1000, 'down')
      sameBytes(t.seed, await t.read(t.key('blob'), guard), bytes, 'the blob read slowly')
    },
  },
  throttled: {
    title: 'a server that is asked too often is RATE_LIMITED, and is left alone for as long as it asks',
    why: 'A client that retries at once is shut out for longer.',
    needs: hook('busy'),
    provokes: ['RATE_LIMITED'],
    async run(t) {
      const waits: number[] = []
      const delay = async (ms: number) => void waits.push(ms)
      const guard = t.wrap(await t.harness.open(), { delay })
      await guard.put(t.key('blob'), t.bytes(100))
      await t.harness.busy?.(1, RETRY_MS)
      check((await guard.stat(t.key('blob'))) !== null, 'stat finds the blob once the server accepts requests again')
      check(waits.length === 1 && (waits[0] as number) >= RETRY_MS, `it waits ${RETRY_MS} ms, but it waited ${waits}`)
      await t.harness.busy?.(1, RETRY_MS)
      const error = await rejects(guard.put(t.key('other'), t.bytes(100)), 'RATE_LIMITED', 'put')
      check((error.retryAfterMs ?? 0) >= RETRY_MS, 'the error says how long to wait')
      await t.lacks(t.key('other'))
    },
  },
  replay: {
    title: 'a connection that breaks at any point of a put never leaves an empty or partial blob',
    why: 'A client that sends a body again after reading it sends nothing, and is told that it succeeded.',
    needs: endpoint,
    async run(t) {
      const { guard, proxy } = await t.through()
      const bytes = t.bytes(300_000)
      for (const at of [0, 100, 1_000, 70_000, 299_000]) {
        const key = t.key(`blob${at}`)
        const put = () => guard.put(key, streamOf(chunksOf(bytes, 30_000)), { size: bytes.length })
        await wholeOrAbsent(t, key, bytes, await putCutAfter(t, proxy, at, put))
      }
    },
  },
  'one-shot': {
    title: 'a source that can be read once is read once: its put rejects as retryable instead of being sent again',
    why: 'Only the owner of the source can open it again.',
    needs: endpoint,
    async run(t) {
      const { guard, proxy } = await t.through()
      const bytes = t.bytes(sizeOf(t))
      const source = new OneShot(chunksOf(bytes, 64 << 10))
      const put = () => guard.put(t.key('blob'), source, { size: bytes.length })
      const outcome = await putCutAfter(t, proxy, bytes.length / 2, put)
      await wholeOrAbsent(t, t.key('blob'), bytes, outcome)
      equal(source.readers, 1, 'how often the source was read')
    },
  },
  restart: {
    title: 'the first operation after a restart of the server succeeds',
    why: 'Pooled connections from before are dead: that says nothing about the call that gets one.',
    needs: hook('restartServer'),
    async run(t) {
      const [key, bytes] = [t.key('blob'), t.bytes(10_000)]
      const operations: Record<string, () => Promise<unknown>> = {
        put: () => t.store.put(key, bytes),
        get: () => t.read(key),
        stat: () => t.store.stat(key),
        list: () => t.names(),
        delete: () => t.store.delete(key),
      }
      for (const operation of Object.values(operations)) {
        // Several connections are pooled.
        await Promise.all(['a', 'b', 'c'].map((name) => t.store.stat(t.key(name))))
        await t.harness.restartServer?.()
        await operation()
      }
      await t.lacks(key)
    },
  },
  poison: {
    title: 'after 20 aborted operations 20 others succeed',
    why: 'A connection returned in the middle of a response delivers the rest to the next call.',
    async run(t) {
      const bytes = t.bytes(MB)
      await t.store.put(t.key('blob'), bytes)
      for (let i = 0; i < 10; i++) {
        await abortPut(t, `aborted${i}`)
        await abortGet(t)
      }
      for (let i = 0; i < 10; i++) {
        await t.store.put(t.key(`blob${i}`), t.bytes(10_000, i))
        await t.holds(t.key(`blob${i}`), t.bytes(10_000, i))
        sameBytes(t.seed, await t.read(t.key('blob')), bytes, 'the blob')
      }
    },
  },
  'no-space': {
    title: 'put of more than there is room for rejects with NO_SPACE, and leaves nothing',
    why: 'Only its owner can fix a full store: retrying does not help.',
    needs: hook('quota'),
    provokes: ['NO_SPACE'],
    async run(t) {
      const bytes = t.bytes(2 * MB)
      const lift = await t.harness.quota?.(MB)
      try {
        await rejects(t.store.put(t.key('blob'), bytes, { size: bytes.length }), 'NO_SPACE', 'put')
        await t.lacks(t.key('blob'))
        await t.clean()
        await t.store.put(t.key('small'), t.bytes(1_000))
      } finally {
        await lift?.()
      }
      await t.store.put(t.key('blob'), bytes)
      await t.holds(t.key('blob'), bytes)
    },
  },
})

/** More than one part, so that something has been sent before the connection breaks. */
function sizeOf({ capabilities }: Ctx): number {
  return (capabilities.limits?.partSize ?? 0) + 2 * MB
}

/** What a body yields, and the error it throws, if any. */
async function readThrough({ body }: { readonly body: AsyncIterable<Uint8Array> }) {
  const chunks: Uint8Array[] = []
  try {
    for await (const chunk of body) chunks.push(Uint8Array.from(chunk))
    return { got: Buffer.concat(chunks), error: undefined }
  } catch (error) {
    return { got: Buffer.concat(chunks), error }
  }
}

/** Expects TIMEOUT, neither before the idle time nor long after it. */
async function timesOut<T>(call: Promise<T>, what: string): Promise<PromiseSettledResult<T>> {
  const began = performance.now()
  const outcome = await within(settle(call), IDLE_MS + SOON_MS, what)
  await rejects(call, 'TIMEOUT', what)
  // A byte may have moved shortly before the watchdog looked.
  check(performance.now() - began > IDLE_MS * 0.8, `${what} is not given up before its time`)
  return outcome
}

async function* trickle(chunks: readonly Uint8Array[], ms: number, signal: AbortSignal) {
  for (const chunk of chunks) {
    await sleep(ms, signal)
    yield chunk
  }
}

/** Counts how often it is read, and has chunks only for the first reader. */
class OneShot implements AsyncIterable<Uint8Array> {
  readers = 0
  readonly #chunks: readonly Uint8Array[]

  constructor(chunks: readonly Uint8Array[]) {
    this.#chunks = chunks
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array, void, undefined> {
    this.readers += 1
    return streamOf(this.readers === 1 ? this.#chunks : [])
  }
}

async function abortPut(t: Ctx, name: string): Promise<void> {
  const abort = new AbortController()
  const source = new HeldSource(chunksOf(t.bytes(MB), 256 << 10), 2)
  const put = started(t.store.put(t.key(name), source, { size: source.size, signal: abort.signal }))
  await source.reachedBy(put)
  abort.abort(new Error('stop'))
  await rejects(put, 'ABORTED', 'put')
}

async function abortGet(t: Ctx): Promise<void> {
  const abort = new AbortController()
  const { body } = await t.store.get(t.key('blob'), { signal: abort.signal })
  const { error } = await readThrough({ body: abortingAfterFirst(body, abort) })
  if (StorageError.is(error)) checkCode(error, ['ABORTED'], 'the body')
}

async function* abortingAfterFirst(body: AsyncIterable<Uint8Array>, abort: AbortController) {
  for await (const chunk of body) {
    abort.abort(new Error('stop'))
    yield chunk
  }
}
