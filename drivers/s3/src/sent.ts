import { Readable } from 'node:stream'
import type { CompleteMultipartUploadCommand, PutObjectCommand, UploadPartCommand } from '@aws-sdk/client-s3'

/** How much of a body goes to the socket at a time: small enough that a slow line does not look like a stall. */
export const PIECE_BYTES = 256 << 10

/**
 * Makes `command` send its body, which is a buffer, piece by piece, unless it is only one piece. It is signed as a
 * whole first.
 *
 * @param onSent Called for each piece that the socket has taken with the number of bytes sent; each attempt starts at
 *   zero.
 */
export function reporting<C extends PutObjectCommand | UploadPartCommand>(
  command: C,
  onSent: (bytes: number) => void,
): C {
  const { middlewareStack } = command as PutObjectCommand
  middlewareStack.add(
    (next) => (args) => {
      const request = args.request as { body: unknown }
      const body = request.body as Buffer
      if (body.byteLength > PIECE_BYTES) request.body = Readable.from(piecesOf(body, onSent), { objectMode: false })
      return next(args)
    },
    { step: 'deserialize', priority: 'low', name: 'reportSent' },
  )
  return command
}

function* piecesOf(body: Buffer, onSent: (bytes: number) => void): Generator<Buffer, void, void> {
  for (let at = 0; at < body.byteLength; at += PIECE_BYTES) {
    yield body.subarray(at, at + PIECE_BYTES)
    onSent(Math.min(at + PIECE_BYTES, body.byteLength))
  }
}

/**
 * Reports each piece of the response. A service may work for minutes on completing an upload, and sends a blank now and
 * then while it does.
 *
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
 */
export function hearing(command: CompleteMultipartUploadCommand, onHeard: () => void): CompleteMultipartUploadCommand {
  command.middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args)
      onHeard()
      const response = result.response as { body: Readable }
      response.body = Readable.from(heard(response.body, onHeard), { objectMode: false })
      return result
    },
    { step: 'deserialize', priority: 'low', name: 'reportHeard' },
  )
  return command
}

async function* heard(body: Readable, onHeard: () => void): AsyncGenerator<Buffer, void, void> {
  for await (const piece of body) {
    onHeard()
    yield piece
  }
}

/** How many bytes of a blob's parts were sent; for a part sent again, the maximum. */
export class SentParts {
  readonly #onSent: (totalBytes: number) => void
  readonly #parts: number[] = []
  #total = 0

  constructor(onSent: (totalBytes: number) => void) {
    this.#onSent = onSent
  }

  note(part: number, bytes: number): void {
    const before = this.#parts[part] ?? 0
    this.#parts[part] = Math.max(before, bytes)
    this.#total += Math.max(0, bytes - before)
    // Even if it has not grown: resending a part is not a stall.
    this.repeat()
  }

  /** Reports the same total again. */
  repeat(): void {
    this.#onSent(this.#total)
  }
}
