import type { Readable } from 'node:stream'
import type { S3Client } from '@aws-sdk/client-s3'
import { redact } from '@stored/core/backend'
import { NotS3 } from './errors.ts'

/** Header fields in which services send request ids. A page in place of a service has none of them. */
const NUMBERS = ['x-amz-request-id', 'x-amz-id-2', 'x-guploader-uploadid'] as const
/** R2 sends none of these. Its network adds its own, also to its own pages: alone it proves nothing. */
const MARKS = [...NUMBERS, 'cf-ray'] as const

/** The parts of a response that are examined. */
export interface Answer {
  readonly statusCode: number
  readonly headers: Readonly<Record<string, string | undefined>>
}

type Command = `${string}Command`
type Output = Readonly<Record<string, unknown>>

/** For commands that nothing but S3 answers this way: what the body must contain. */
const IN_THE_BODY: Readonly<Record<Command, string>> = {
  CreateMultipartUploadCommand: 'UploadId',
  CompleteMultipartUploadCommand: 'ETag',
  CopyObjectCommand: 'CopyObjectResult',
  ListObjectsV2Command: 'IsTruncated',
}
/** The same for commands that a web server might answer this way by chance. */
const IN_THE_HEAD: Readonly<Record<Command, string>> = {
  GetObjectCommand: 'ETag',
  HeadObjectCommand: 'ETag',
  PutObjectCommand: 'ETag',
  UploadPartCommand: 'ETag',
}
/** The longest etag or upload id, in characters. */
const MOST_NAME_LENGTH = 4_096
/** Blobs may have any type. */
const MAY_BE_HTML: ReadonlySet<Command> = new Set(['GetObjectCommand', 'HeadObjectCommand'])

/**
 * Tells S3's answers from what comes in their place: a hotel's login page, a filter's page, a proxy without a server
 * behind it. None of that says anything about a blob: neither that it was stored nor that it is gone.
 */
export class Answers {
  /** The field that the service sends, once one was seen: from then on a response without it is not its answer. */
  #mark: string | undefined

  /** @throws {NotS3} */
  accept(command: Command, answer: Answer, output: Output): void {
    if (!isShaped(command, answer, output)) throw notS3(answer)
    const mark = MARKS.find((name) => answer.headers[name] !== undefined)
    const isLess = this.#mark !== undefined && answer.headers[this.#mark] === undefined
    if (isLess && !(command in IN_THE_BODY)) throw notS3(answer)
    if (isLess || this.#mark === undefined) this.#mark = mark
  }

  /** @returns `error`, if it came from S3. */
  refused(error: unknown, answer: Answer): unknown {
    // The SDK has attached the response, and mentions that in its message.
    if (error instanceof NotS3) return notS3(answer, error.also)
    const { Code } = error as { Code?: unknown }
    if (typeof Code === 'string') return error
    // A success that cannot be parsed is not a success.
    const isNumbered = answer.statusCode >= 300 && NUMBERS.some((name) => answer.headers[name] !== undefined)
    return isNumbered ? error : notS3(answer)
  }

  /** Makes `s3` accept no other answers. */
  watch(s3: S3Client): void {
    s3.middlewareStack.add(
      (next, context) => async (args) => {
        const result = await next(args).catch((error: unknown) => {
          throw hasAnswered(error) ? this.refused(error, error.$response) : error
        })
        try {
          this.accept(context.commandName as Command, result.response as Answer, result.output as unknown as Output)
        } catch (error) {
          // Nothing else frees the connection.
          ;(result.output as { Body?: Readable }).Body?.destroy()
          throw error
        }
        return result
      },
      { step: 'deserialize', priority: 'high', name: 'acceptAnswers' },
    )
  }
}

function isShaped(command: Command, { statusCode, headers }: Answer, output: Output): boolean {
  if (!MAY_BE_HTML.has(command) && /^(text\/html|application\/xhtml)/i.test(headers['content-type'] ?? '')) return false
  const needed = IN_THE_BODY[command] ?? IN_THE_HEAD[command]
  if (needed !== undefined) return isFit(output[needed])
  const isRemoval = command === 'DeleteObjectCommand' || command === 'AbortMultipartUploadCommand'
  return !isRemoval || statusCode === 204 || NUMBERS.some((name) => headers[name] !== undefined)
}

/**
 * It is kept in the index, and sent again in header fields: a real one has a few dozen characters, and contains no
 * secret.
 */
function isFit(value: unknown): boolean {
  return typeof value === 'string' ? value.length <= MOST_NAME_LENGTH && redact(value) === value : value !== undefined
}

/** Whether there is a response at all, and the connection did not break during it. */
function hasAnswered(error: unknown): error is { readonly $response: Answer } {
  const { $response, code } = error as { $response?: Answer; code?: unknown }
  return $response !== undefined && code === undefined && (error as Error).name !== 'AbortError'
}

/** @param also Another reason why it is not from S3. */
export function notS3({ statusCode, headers }: Answer, also?: string): NotS3 {
  const { 'content-type': type, location, 'retry-after': retryAfter } = headers
  return new NotS3(statusCode, { type, location, retryAfter, also })
}
