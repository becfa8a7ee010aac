import { tracingChannel } from 'node:diagnostics_channel'
import type { Readable } from 'node:stream'

/**
 * What subscribers of a channel are told of a call: one object, from its start to its end.
 *
 * - `stored:put`, `stored:get`: calls of a store; a get ends when its last byte was delivered
 * - `stored:stage`: the bytes of a put are being received
 * - `stored:sync`: a job of a backend
 * - `stored:commit`: commits of the ledger; many calls may share one
 *
 * Each is a tracing channel of Node.js: subscribe to `tracing:stored:put:start`, `:asyncEnd`, `:error`, or to all of them at once.
 *
 * @see https://nodejs.org/api/diagnostics_channel.html#class-tracingchannel
 */
export interface Trace {
  /** The key, or the id, that the caller named. */
  readonly key?: string | undefined
  readonly backend?: string | undefined
  /** What a job does. */
  readonly op?: 'put' | 'delete' | undefined
  /** Read, written or delivered. Known at the end. */
  bytes?: number | undefined
  /** Told with `error`. */
  error?: unknown
}

const CHANNELS = {
  put: tracingChannel<object, Trace>('stored:put'),
  stage: tracingChannel<object, Trace>('stored:stage'),
  get: tracingChannel<object, Trace>('stored:get'),
  sync: tracingChannel<object, Trace>('stored:sync'),
  commit: tracingChannel<object, Trace>('stored:commit'),
}

/**
 * Calls `call`, and tells subscribers of the channel. Costs nothing while there are none.
 *
 * @param bytesOf Those of what came of it.
 */
export function traced<T>(
  name: keyof typeof CHANNELS,
  trace: Trace,
  call: () => Promise<T>,
  bytesOf?: (outcome: T) => number,
): Promise<T> {
  const channel = CHANNELS[name]
  if (!channel.hasSubscribers) return call()
  if (!bytesOf) return channel.tracePromise(call, trace)
  const counting = async () => {
    const outcome = await call()
    trace.bytes = bytesOf(outcome)
    return outcome
  }
  return channel.tracePromise(counting, trace)
}

/** The same for a read as a stream: it is over when the stream is closed. @param open Is given what counts the bytes of its body. */
export function tracedStream(trace: Trace, open: (count: Count) => Promise<Readable>): Promise<Readable> {
  if (!CHANNELS.get.hasSubscribers) return open((chunks) => chunks)
  return new Promise((resolve, reject) => {
    const delivered = traced('get', trace, async () => {
      trace.bytes = 0
      const stream = await open((chunks) => counted(trace, chunks))
      // Not by events.once(): it would listen for errors, which are the reader's to hear, or the process's.
      const closed = new Promise<void>((end) => (stream.closed ? end() : stream.once('close', end)))
      resolve(stream)
      await closed
      if (stream.errored) throw stream.errored
    })
    delivered.catch(reject)
  })
}

export type Count = (chunks: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>

async function* counted(trace: Trace, chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
  for await (const chunk of chunks) {
    trace.bytes = (trace.bytes ?? 0) + chunk.byteLength
    yield chunk
  }
}
