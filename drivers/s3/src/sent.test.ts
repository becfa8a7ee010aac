import { hash } from 'node:crypto'
import { Readable } from 'node:stream'
import { CompleteMultipartUploadCommand, S3Client, UploadPartCommand } from '@aws-sdk/client-s3'
import { describe, expect, it } from 'vitest'
import { hearing, reporting, SentParts } from './sent.ts'

const TARGET = { Bucket: 'bucket', Key: 'blob', UploadId: 'id', PartNumber: 1 }
const PIECE = 256 << 10

function clientWith(handle: (request: never) => Promise<unknown>): S3Client {
  return new S3Client({
    region: 'us-east-1',
    endpoint: 'http://127.0.0.1',
    maxAttempts: 1,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    credentials: { accessKeyId: 'id', secretAccessKey: 'secret' },
    requestHandler: { handle } as never,
  })
}

/** The signed request that would upload `Body` as a part. */
async function requestOf(Body: Buffer, onSent: (bytes: number) => void) {
  let sent: { headers: Record<string, string>; body: unknown } | undefined
  const handle = async (request: typeof sent) => {
    sent = request
    throw new Error('there is no server')
  }
  const command = reporting(new UploadPartCommand({ ...TARGET, Body }), onSent)
  await expect(clientWith(handle).send(command)).rejects.toThrow('there is no server')
  return sent as NonNullable<typeof sent>
}

describe('reporting', () => {
  it('sends a body unchanged, signed as a whole, and reports each piece when the next is requested', async () => {
    const bytes = Buffer.alloc(2 * PIECE + 1, 'StoreD')
    const told: number[] = []
    const { headers, body } = await requestOf(bytes, (count) => told.push(count))
    expect(headers).toMatchObject({
      'content-length': `${bytes.length}`,
      'x-amz-content-sha256': hash('sha256', bytes),
    })
    expect(told).toEqual([])
    expect(bytes.equals(Buffer.concat(await Array.fromAsync(body as Readable)))).toBe(true)
    expect(told).toEqual([PIECE, 2 * PIECE, bytes.length])
  })

  it('does not report pieces that are never taken', async () => {
    const told: number[] = []
    await requestOf(Buffer.alloc(2 * PIECE), (count) => told.push(count))
    expect(told).toEqual([])
  })
})

describe('hearing', () => {
  it('reports the head of the response and each blank, and passes the response on', async () => {
    const pieces = [
      '<?xml version="1.0"?>',
      ' ',
      ' ',
      '<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>',
    ]
    let told = 0
    const toldAt: number[] = []
    async function* answer() {
      for (const piece of pieces) {
        toldAt.push(told)
        yield Buffer.from(piece)
      }
    }
    const handle = async () => ({ response: { statusCode: 200, headers: {}, body: Readable.from(answer()) } })
    const command = new CompleteMultipartUploadCommand({ ...TARGET, MultipartUpload: { Parts: [] } })
    const { ETag } = await clientWith(handle).send(hearing(command, () => told++))
    expect(ETag).toBe('e')
    expect(toldAt[0]).toBe(1)
    expect(told).toBe(1 + pieces.length)
  })
})

describe('note', () => {
  it('adds up the parts, and never falls if one is sent again', () => {
    const told: number[] = []
    const sent = new SentParts((total) => told.push(total))
    for (const [part, bytes] of [
      [1, 5],
      [2, 3],
      [1, 2],
      [1, 9],
    ] as const)
      sent.note(part, bytes)
    expect(told).toEqual([5, 8, 8, 12])
  })
})

describe('repeat', () => {
  it('reports the same total again', () => {
    const told: number[] = []
    const sent = new SentParts((total) => told.push(total))
    sent.note(1, 5)
    sent.repeat()
    expect(told).toEqual([5, 5])
  })
})
