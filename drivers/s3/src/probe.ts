import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { RESERVED_PREFIX, StorageError } from '@stored/core/backend'
import type { Call, Client } from './client.ts'

/** Which conditions a service evaluates. */
export interface Conditions {
  readonly ifAbsent: boolean
  readonly ifMatch: boolean
}

const NONE: Conditions = { ifAbsent: false, ifMatch: false }
/** No object has this etag. */
const NO_ETAG = '"00000000000000000000000000000000"'

/**
 * Tries the conditions on two empty objects, which stay. A service that ignores a condition answers like one that
 * evaluates it, until it would have to refuse. If nothing can be written, no condition is declared.
 */
export async function probeConditions(client: Client, prefix: string, call: Call): Promise<Conditions> {
  const target = { Bucket: client.bucket, Key: `${prefix}${RESERVED_PREFIX}probe` }
  const deleted = { ...target, Key: `${target.Key}-delete` }
  const absent = new PutObjectCommand({ ...target, Body: new Uint8Array(), IfNoneMatch: '*' })
  try {
    // The first request creates it.
    if (!(await refuses(client.send(absent, call))) && !(await refuses(client.send(absent, call)))) return NONE
    const [match, matchDelete, parts] = await Promise.all([
      refuses(client.send(new PutObjectCommand({ ...target, Body: new Uint8Array(), IfMatch: NO_ETAG }), call)),
      refusesDelete(client, deleted, call),
      refusesParts(client, target, call),
    ])
    return { ifAbsent: parts.ifAbsent, ifMatch: match && matchDelete && parts.ifMatch }
  } catch (error) {
    if (isOneOf(error, ['PERMISSION_DENIED', 'NO_SPACE', 'UNSUPPORTED', 'INVALID_ARGUMENT'])) return NONE
    throw error
  }
}

interface Target {
  readonly Bucket: string
  readonly Key: string
}

async function refusesDelete(client: Client, target: Target, call: Call): Promise<boolean> {
  await refuses(client.send(new PutObjectCommand({ ...target, Body: new Uint8Array(), IfNoneMatch: '*' }), call))
  return refuses(client.send(new DeleteObjectCommand({ ...target, IfMatch: NO_ETAG }), call))
}

/** The same for a multipart upload: some services evaluate conditions only for single requests. */
async function refusesParts(client: Client, target: Target, call: Call): Promise<Conditions> {
  const { UploadId } = await client.send(new CreateMultipartUploadCommand(target), call)
  const upload = { ...target, UploadId }
  try {
    const part = new UploadPartCommand({ ...upload, PartNumber: 1, Body: Buffer.from('?') })
    const { ETag } = await client.send(part, call)
    const whole = { ...upload, MultipartUpload: { Parts: [{ PartNumber: 1, ETag }] } }
    const ifMatch = await refuses(client.send(new CompleteMultipartUploadCommand({ ...whole, IfMatch: NO_ETAG }), call))
    // Accepted means completed: nothing is left to try the other condition on.
    if (!ifMatch) return NONE
    const absent = new CompleteMultipartUploadCommand({ ...whole, IfNoneMatch: '*' })
    return { ifMatch, ifAbsent: await refuses(client.send(absent, call)) }
  } finally {
    // If this fails, an empty upload remains for sweep().
    await client.send(new AbortMultipartUploadCommand(upload), call).catch(() => {})
  }
}

/** Whether a request is refused because of its condition; any other failure is thrown. */
async function refuses(request: Promise<unknown>): Promise<boolean> {
  try {
    await request
    return false
  } catch (error) {
    if (isOneOf(error, ['PRECONDITION_FAILED', 'CONFLICT'])) return true
    if (isOneOf(error, ['UNSUPPORTED', 'INVALID_ARGUMENT'])) return false
    throw error
  }
}

function isOneOf(error: unknown, codes: readonly string[]): boolean {
  return StorageError.is(error) && codes.includes(error.code)
}
