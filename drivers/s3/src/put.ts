import { type LogEvent, type PutOptions, type Stat, StorageError } from '@stored/core/backend'
import type { Call, Client } from './client.ts'
import { toS3Error } from './errors.ts'
import type { Loan, Memory } from './memory.ts'
import { PartReader, partSizeFor } from './parts.ts'
import { type Conditional, type Target, Upload } from './upload.ts'

export interface PutContext {
  readonly client: Client
  /** The size of small parts: anything larger is uploaded in parts. */
  readonly partSize: number
  readonly memory: Memory
  /** For the large parts of blobs of unknown size: one at a time. */
  readonly largeMemory: Memory
  readonly keepsSha256: boolean
  /** The uploads of this instance, which sweep() must spare. */
  readonly live: Set<string>
  readonly log: (event: LogEvent) => void
  /** Looks at the current object. */
  readonly look: (call: Call) => Promise<Stat | null>
}

/** The properties of a new object. */
interface Input extends Target {
  readonly ContentType?: string
}

/** Ties a checkpoint to the bytes and the destination of an upload. */
interface Checkpoint {
  readonly uploadId: string
  readonly partSize: number
  readonly bucket: string
  readonly name: string
  readonly size: number
  readonly sha256: string
  /** Parts that had arrived when it was last resumed. */
  readonly arrived: number
}

/** Stores `body` as the object `name`: in one request if it fits into a part, else in parts. */
export async function putObject(
  context: PutContext,
  name: string,
  body: AsyncIterable<Uint8Array>,
  options: PutOptions,
  call: Call,
): Promise<Omit<Stat, 'key'>> {
  const reader = new PartReader(body)
  const { contentType } = options
  const input = {
    Bucket: context.client.bucket,
    Key: name,
    ...(contentType !== undefined && { ContentType: contentType }),
  }
  try {
    const { size, onSent = () => {} } = options
    const isWhole = size !== undefined && size <= context.partSize
    const start = isWhole ? size : size === undefined ? context.partSize : partSizeFor(size, context.partSize)
    using loan = await context.memory.take(start, call.signal, () => onSent(0))
    const filled = await reader.fill(loan.buffer)
    if (isWhole) await reader.end()
    else if (filled === start) return await putParts(context, reader, loan, input, options, call)
    const stored = await putWhole(context, loan.buffer.subarray(0, filled), input, options, call)
    loan.give()
    return stored
  } catch (error) {
    throw judged(toS3Error(error, call.at, call.signal), options)
  } finally {
    await reader.release()
  }
}

async function putWhole(
  { client, keepsSha256 }: PutContext,
  body: Buffer,
  input: Input,
  options: PutOptions,
  call: Call,
): Promise<Omit<Stat, 'key'>> {
  const { sha256, onSent = () => {} } = options
  const kept = keepsSha256 && sha256 !== undefined && { ChecksumSHA256: Buffer.from(sha256, 'hex').toString('base64') }
  const object = { ...input, ...conditionsOf(options), ...kept, Body: body }
  const etag = await client.put(object, sha256, onSent, { ...call, isWrite: true })
  return { size: body.byteLength, ...(etag !== undefined && { etag }) }
}

async function putParts(
  context: PutContext,
  reader: PartReader,
  start: Loan,
  input: Input,
  options: PutOptions,
  outer: Call,
): Promise<Omit<Stat, 'key'>> {
  const partSize = partSizeFor(options.size, context.partSize)
  const stop = new AbortController()
  const onAbort = (): void => stop.abort(outer.signal.reason)
  outer.signal.addEventListener('abort', onAbort)
  const call = { at: outer.at, signal: stop.signal }
  const { size: known, onSent = () => {} } = options
  const memory = options.size === undefined ? context.largeMemory : context.memory
  let upload: Upload | undefined
  let isKnown = false
  try {
    outer.signal.throwIfAborted()
    const first =
      start.buffer.byteLength === partSize ? start : await memory.take(partSize, call.signal, () => onSent(0))
    using _ = first
    const filled = first === start ? partSize : await moveOn(reader, start, first)
    const begun = await beginOrResume(context, input, partSize, options, call)
    upload = begun.upload
    isKnown = begun.isKnown
    context.live.add(upload.id)
    const plan = { partSize, memory, ...(known !== undefined && { size: known }) }
    const size = await upload.send(reader, plan, { loan: first, filled }, stop, call, onSent)
    const etag = await upload.complete(conditionsOf(options), call, () => onSent(size))
    return { size, ...(etag !== undefined && { etag }) }
  } catch (error) {
    const failure = toS3Error(error, outer.at, stop.signal)
    if (upload && !(isKnown && mayGoOn(failure))) await abandon(context, upload, input.Key, outer)
    throw failure
  } finally {
    outer.signal.removeEventListener('abort', onAbort)
    if (upload) context.live.delete(upload.id)
  }
}

/** Continues reading in a larger buffer. @returns How much of it is filled. */
function moveOn(reader: PartReader, from: Loan, { buffer }: Loan): Promise<number> {
  const filled = from.buffer.copy(buffer)
  from.give()
  return reader.fill(buffer, filled)
}

/** @returns The upload, and whether the caller can resume it. */
async function beginOrResume(
  { client, look }: PutContext,
  input: Input,
  partSize: number,
  options: PutOptions,
  call: Call,
): Promise<{ upload: Upload; isKnown: boolean }> {
  const { size, sha256, checkpoint, onCheckpoint } = options
  const { Bucket, Key } = input
  if (size === undefined || sha256 === undefined)
    return { upload: await Upload.begin(client, input, call), isKnown: false }
  const mine = { partSize, bucket: Bucket, name: Key, size, sha256 }
  const uploadId = checkpoint === undefined ? null : uploadOf(checkpoint, mine)
  const resumed = uploadId === null ? null : await Upload.resume(client, { Bucket, Key }, uploadId, call)
  const textOf = ({ id, arrived }: Upload) => JSON.stringify({ ...mine, uploadId: id, arrived } satisfies Checkpoint)
  if (resumed) {
    // A changed number of parts is progress, and resets the crash count of the job.
    if (textOf(resumed) !== checkpoint) await onCheckpoint?.(textOf(resumed))
    return { upload: resumed, isKnown: true }
  }
  // It is gone: perhaps completed by a process that could not report it. The existing object then decides before any
  // bytes are sent.
  if (uploadId !== null) await judge(look, options, call)
  const upload = await Upload.begin(client, input, call)
  try {
    await onCheckpoint?.(textOf(upload))
  } catch (error) {
    // It will not be resumed. If this fails, sweep() removes it.
    await upload.abandon(call).catch(() => {})
    throw error
  }
  return { upload, isKnown: onCheckpoint !== undefined }
}

/** @throws {StorageError} ALREADY_EXISTS, PRECONDITION_FAILED: the condition can no longer hold. */
async function judge(look: PutContext['look'], { ifAbsent, ifMatch }: PutOptions, call: Call): Promise<void> {
  if (!ifAbsent && ifMatch === undefined) return
  const found = await look(call)
  if (ifAbsent && found !== null) throw new StorageError('ALREADY_EXISTS', call.at)
  if (ifMatch !== undefined && found?.etag !== ifMatch) throw new StorageError('PRECONDITION_FAILED', call.at)
}

/** The upload that `checkpoint` names, or `null` if it belongs to other bytes or another destination. */
function uploadOf(checkpoint: string, mine: Omit<Checkpoint, 'uploadId' | 'arrived'>): string | null {
  try {
    const kept = JSON.parse(checkpoint) as Partial<Checkpoint>
    const isMine = Object.entries(mine).every(([name, value]) => kept?.[name as keyof Checkpoint] === value)
    return isMine && typeof kept.uploadId === 'string' && kept.uploadId !== '' ? kept.uploadId : null
  } catch {
    return null // It was not written by this driver.
  }
}

/** Whether another attempt may resume from what was sent: after a conflict the service accepts no more of it. */
function mayGoOn({ code, retryable }: StorageError): boolean {
  return code === 'ABORTED' || code === 'CLOSED' || (retryable && code !== 'CONFLICT')
}

async function abandon({ log }: PutContext, upload: Upload, name: string, { at }: Call): Promise<void> {
  try {
    await upload.abandon({ at })
  } catch (error) {
    const why = (error as Error).message
    log({
      level: 'warn',
      message: `an unfinished upload of ${name} stays until sweep(): ${why}`,
      ...(at.key && { key: at.key }),
    })
  }
}

function conditionsOf({ ifAbsent, ifMatch }: PutOptions): Conditional {
  if (ifMatch !== undefined) return { IfMatch: ifMatch }
  return ifAbsent ? { IfNoneMatch: '*' } : {}
}

/** What a failed condition, or a missing upload, means for a put. */
function judged(error: StorageError, { ifAbsent, ifMatch }: PutOptions): StorageError {
  const { at, code, cause, detail } = error
  const options = { cause, ...(detail !== undefined && { detail }) }
  if (code === 'PRECONDITION_FAILED' && ifAbsent) return new StorageError('ALREADY_EXISTS', at, options)
  if (code !== 'NOT_FOUND') return error
  // No object could have that etag; or someone has removed the upload.
  return new StorageError(ifMatch === undefined ? 'CONFLICT' : 'PRECONDITION_FAILED', at, options)
}
