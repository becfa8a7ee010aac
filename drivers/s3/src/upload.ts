import { hash } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  type CreateMultipartUploadCommandInput,
  ListPartsCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { StorageError } from '@stored/core/backend'
import type { Call, Client } from './client.ts'
import { toS3Error } from './errors.ts'
import type { Loan, Memory } from './memory.ts'
import { Pages } from './pages.ts'
import type { PartReader } from './parts.ts'
import { hearing, reporting, SentParts } from './sent.ts'

/** Attempts for one part, whose bytes are still in memory. */
const TRIES = 3
const RETRY_MS = 200
/** The limit of an upload. */
const MOST_PARTS = 10_000
/** How long to keep trying to remove a failed upload: less than the 5 s that `close` has. */
const ABANDON_MS = 4_000

/** An object that is uploaded in parts. */
export interface Target {
  readonly Bucket: string
  readonly Key: string
}

export interface Conditional {
  readonly IfNoneMatch?: '*'
  readonly IfMatch?: string
}

/** The parts of a body, and the memory that holds them during the upload. */
export interface Plan {
  readonly partSize: number
  readonly memory: Memory
  /** The total size. @default unknown */
  readonly size?: number
}

/** A buffer that contains a part. */
export interface Filled {
  readonly loan: Loan
  readonly filled: number
}

interface Part {
  readonly size: number
  readonly etag: string
}

/** One multipart upload: begun or resumed, sent, then completed or abandoned. */
export class Upload {
  readonly id: string
  readonly #client: Client
  readonly #target: Target & { readonly UploadId: string }
  /** The parts that an earlier attempt has sent. */
  readonly #arrived: ReadonlyMap<number, Part>
  readonly #sent: string[] = []

  private constructor(client: Client, target: Target, id: string, arrived: ReadonlyMap<number, Part>) {
    this.id = id
    this.#client = client
    this.#target = { ...target, UploadId: id }
    this.#arrived = arrived
  }

  /** How many parts an earlier attempt has sent. */
  get arrived(): number {
    return this.#arrived.size
  }

  static async begin(client: Client, input: CreateMultipartUploadCommandInput & Target, call: Call): Promise<Upload> {
    const { UploadId } = await client.send(new CreateMultipartUploadCommand(input), call)
    if (UploadId === undefined) throw new StorageError('UNAVAILABLE', call.at, { detail: 'the upload got no id' })
    return new Upload(client, { Bucket: input.Bucket, Key: input.Key }, UploadId, new Map())
  }

  /** @returns `null` if it is gone. */
  static async resume(client: Client, target: Target, id: string, call: Call): Promise<Upload | null> {
    const arrived = await listParts(client, { ...target, UploadId: id }, call)
    return arrived && new Upload(client, target, id, arrived)
  }

  /**
   * Sends the chunks of `reader` in equal parts, several at a time.
   *
   * @param stop Ends the reading, and the parts in flight, after one of them has failed.
   * @param onSent Called for each piece that is sent.
   */
  async send(
    reader: PartReader,
    plan: Plan,
    first: Filled,
    stop: AbortController,
    call: Call,
    onSent: (totalBytes: number) => void,
  ): Promise<number> {
    const sent = new SentParts(onSent)
    const underWay = new Set<Promise<void>>()
    let total = 0
    try {
      let part: Filled | null = first
      for (let number = 1; part !== null; number++) {
        total += part.filled
        const sending = this.#lent(number, part, call, sent)
          .catch((error) => stop.abort(error))
          .finally(() => underWay.delete(sending))
        underWay.add(sending)
        part = await nextPart(reader, plan, total, call, () => sent.repeat())
      }
    } catch (error) {
      stop.abort(error)
    }
    await Promise.all(underWay)
    call.signal.throwIfAborted()
    return total
  }

  /**
   * @param onHeard Called for each sign that the service is working on it.
   * @returns The etag of the object.
   */
  async complete(conditions: Conditional, call: Call, onHeard: () => void): Promise<string | undefined> {
    const Parts = this.#sent.map((ETag, i) => ({ PartNumber: i + 1, ETag }))
    const command = new CompleteMultipartUploadCommand({ ...this.#target, ...conditions, MultipartUpload: { Parts } })
    const { ETag } = await this.#client.send(hearing(command, onHeard), { ...call, isWrite: true })
    return ETag
  }

  /** Removes it, and checks that it is gone: a part that arrives late brings it back. */
  async abandon(call: Omit<Call, 'signal'>): Promise<void> {
    const late = { at: call.at, signal: AbortSignal.timeout(ABANDON_MS) }
    const remove = (): Promise<unknown> =>
      this.#client.send(new AbortMultipartUploadCommand(this.#target), late).catch(unlessGone)
    await remove()
    if ((await listParts(this.#client, this.#target, late)) !== null) await remove()
  }

  /** Sends a part, and returns its buffer. */
  async #lent(number: number, { loan, filled }: Filled, call: Call, sent: SentParts): Promise<void> {
    using _ = loan
    await this.#part(number, loan.buffer.subarray(0, filled), call, sent)
    loan.give()
  }

  async #part(number: number, body: Buffer, call: Call, sent: SentParts): Promise<void> {
    const there = this.#arrived.get(number)
    // If other bytes have arrived, the part is sent again over them.
    const isThere = there?.size === body.byteLength && there.etag === `"${hash('md5', body)}"`
    this.#sent[number - 1] = isThere ? there.etag : await this.#try(number, body, call, sent)
    sent.note(number, body.byteLength)
  }

  async #try(PartNumber: number, Body: Buffer, call: Call, sent: SentParts): Promise<string> {
    const part = new UploadPartCommand({ ...this.#target, PartNumber, Body })
    const command = reporting(part, (bytes) => sent.note(PartNumber, bytes))
    for (let tries = 1; ; tries++) {
      try {
        const { ETag } = await this.#client.send(command, call)
        if (ETag === undefined) throw new StorageError('UNAVAILABLE', call.at, { detail: 'a part got no etag' })
        return ETag
      } catch (error) {
        const failure = toS3Error(error, call.at, call.signal)
        if (!failure.retryable || tries === TRIES || call.signal.aborted) throw failure
        const { retryAfterMs = RETRY_MS * 2 ** (tries - 1) * (0.5 + Math.random()) } = failure
        // A longer wait is for a caller that can do something else in the meantime.
        if (retryAfterMs > 10 * RETRY_MS) throw failure
        await wait(retryAfterMs, undefined, { signal: call.signal })
      }
    }
  }
}

/** Reads what follows the first `total` bytes; `null` if that was all. */
async function nextPart(
  reader: PartReader,
  { partSize, memory, size }: Plan,
  total: number,
  { signal }: Call,
  onWait: () => void,
): Promise<Filled | null> {
  if (total === size) {
    await reader.end()
    return null
  }
  const left = size === undefined ? partSize : size - total
  const loan = await memory.take(Math.min(partSize, left), signal, onWait)
  try {
    const filled = await reader.fill(loan.buffer)
    if (filled > 0) return { loan, filled }
    loan.give()
    return null
  } catch (error) {
    loan.give()
    throw error
  }
}

/** @returns `null` if the upload does not exist. */
async function listParts(
  client: Client,
  upload: Target & { readonly UploadId: string },
  call: Call,
): Promise<Map<number, Part> | null> {
  const parts = new Map<number, Part>()
  const pages = new Pages(call.at)
  let marker: string | undefined
  try {
    do {
      const command = new ListPartsCommand({ ...upload, ...(marker !== undefined && { PartNumberMarker: marker }) })
      const found = await client.send(command, call)
      for (const { PartNumber = 0, Size = 0, ETag = '' } of found.Parts ?? [])
        parts.set(PartNumber, { size: Size, etag: ETag })
      if (parts.size > MOST_PARTS) throw pages.refusal(`more than ${MOST_PARTS} parts`)
      marker = pages.follow(found.IsTruncated ? found.NextPartNumberMarker : undefined)
    } while (marker !== undefined)
    return parts
  } catch (error) {
    unlessGone(error)
    return null
  }
}

/** A missing upload is NoSuchUpload, or NoSuchKey with Ceph. */
function unlessGone(error: unknown): void {
  if (!StorageError.is(error) || error.code !== 'NOT_FOUND') throw error
}
