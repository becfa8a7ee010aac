import { Readable } from 'node:stream'
import type { S3Client } from '@aws-sdk/client-s3'
import { type Answer, notS3 } from './answers.ts'

/** For an error response: no service says more. */
export const MOST_REFUSAL_BYTES = 64 << 10
/** For any other response that is not an object. The largest one is a list of 1,000 parts with their checksums. */
const MOST_ANSWER_BYTES = 1 << 20
/** A page of 1,000 keys of 1,024 bytes, all escaped. */
const MOST_PAGE_BYTES = 8 << 20

const PAGES: ReadonlySet<string> = new Set([
  'ListObjectsV2Command',
  'ListMultipartUploadsCommand',
  'DeleteObjectsCommand',
])

type Bodied = Answer & { body?: Readable }

/**
 * Makes `s3` read no response further than a service could mean it: the SDK collects everything, and a body may be
 * endless.
 */
export function boundAnswers(s3: S3Client): void {
  s3.middlewareStack.add(
    (next, context) => async (args) => {
      const result = await next(args)
      const answer = result.response as Bodied
      const most = mostOf(context.commandName ?? '', answer)
      if (answer.body instanceof Readable && most !== null) answer.body = bounded(answer.body, most, answer)
      return result
    },
    { step: 'deserialize', priority: 'low', name: 'boundAnswers' },
  )
}

/** @throws {NotS3} */
export async function textOf(body: Readable, most: number, answer: Answer): Promise<string> {
  return Buffer.concat(await Array.fromAsync(upTo(body, most, answer))).toString()
}

/** `null` for an object: it is not collected, and the guard counts its bytes. */
function mostOf(command: string, { statusCode }: Answer): number | null {
  if (statusCode >= 300) return MOST_REFUSAL_BYTES
  if (command === 'GetObjectCommand') return null
  return PAGES.has(command) ? MOST_PAGE_BYTES : MOST_ANSWER_BYTES
}

function bounded(body: Readable, most: number, answer: Answer): Readable {
  return Readable.from(upTo(body, most, answer), { objectMode: false })
}

/** Closes the connection if the body is too long. */
async function* upTo(body: Readable, most: number, answer: Answer): AsyncGenerator<Buffer, void, void> {
  let size = 0
  for await (const chunk of body) {
    size += chunk.length
    if (size > most) throw notS3(answer, `more than ${most} bytes`)
    yield chunk
  }
}
