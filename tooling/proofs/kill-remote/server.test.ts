import { CreateMultipartUploadCommand, PutObjectCommand, S3Client, UploadPartCommand } from '@aws-sdk/client-s3'
import { offerService, type Service } from '@stored/services'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Server } from './server.ts'

const ceph = await offerService('ceph-rgw', { CEPH_SUITE: 'forky', CEPH_STORE: 'bluestore' })
const reason = typeof ceph === 'string' ? `, skipped: ${ceph}` : ''

describe.skipIf(reason)(`mark()${reason}`, () => {
  let server: Server
  let client: S3Client
  let Bucket: string

  beforeAll(async () => {
    server = await Server.open(ceph as Service)
    const { endpoint, bucket, ...credentials } = server.where(8 << 20)
    client = new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials })
    Bucket = bucket
  })

  afterAll(() => server[Symbol.asyncDispose]())

  async function upload(Key: string, Body: Buffer): Promise<void> {
    const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key }))
    await client.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber: 1, Body }))
  }

  it('counts an object and the upload that it was completed from once, because a kill in between leaves both', async () => {
    const before = await server.mark()
    await upload('a', Buffer.alloc(1000))
    expect((await server.mark()).arrived - before.arrived).toBe(1000)
    await client.send(new PutObjectCommand({ Bucket, Key: 'a', Body: Buffer.alloc(1000) }))
    expect((await server.mark()).arrived - before.arrived).toBe(1000)
  })

  it('finds everything after a kill of the store', async () => {
    await upload('b', Buffer.alloc(1000))
    const { arrived } = await server.mark()
    expect((await server.kill('store')).arrived).toBe(arrived)
  })
})
