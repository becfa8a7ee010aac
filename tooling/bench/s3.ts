import { spawnSync } from 'node:child_process'
import { basename, join } from 'node:path'
import { CreateBucketCommand, DeleteObjectCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3'
import { S3Backend } from '@stored/driver-s3'
import { openStore } from '@stored/node'
import { type Service, startService } from '@stored/services'
import type { Params } from './side.ts'

/** The name of the backend, and of the remote of rclone. */
export const S3 = 's3'
const BUCKET = 'bench'

/** Ceph 20.2 with an empty bucket. @returns What a side needs to know of it. */
export async function startS3(): Promise<{ service: Service; params: Params }> {
  const service = await startService('ceph-rgw', { CEPH_SUITE: 'forky', CEPH_GB: '12' })
  const { S3_ENDPOINT = '', S3_ACCESS_KEY_ID = '', S3_SECRET_ACCESS_KEY = '' } = service.env
  const params = { endpoint: S3_ENDPOINT, accessKeyId: S3_ACCESS_KEY_ID, secretAccessKey: S3_SECRET_ACCESS_KEY }
  await clientOf(params).send(new CreateBucketCommand({ Bucket: BUCKET }))
  return { service, params }
}

export function clientOf({ endpoint, accessKeyId, secretAccessKey }: Params): S3Client {
  return new S3Client({
    endpoint: String(endpoint),
    region: 'us-east-1',
    forcePathStyle: true,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    credentials: { accessKeyId: String(accessKeyId), secretAccessKey: String(secretAccessKey) },
  })
}

/** Where a key of the contestant with this directory lies. */
export function objectOf(directory: string, key: string): { Bucket: string; Key: string } {
  return { Bucket: BUCKET, Key: `${basename(directory)}/${key}` }
}

/** A store whose one backend is the bucket, below a prefix of its own. */
export function openS3Store(directory: string, { endpoint, accessKeyId, secretAccessKey }: Params) {
  const backend = new S3Backend({
    bucket: BUCKET,
    endpoint: String(endpoint),
    flavor: 'ceph',
    prefix: `${basename(directory)}/`,
    accessKeyId: String(accessKeyId),
    secretAccessKey: String(secretAccessKey),
  })
  return openStore({ path: join(directory, 'store'), backends: { [S3]: backend } })
}

/** Copies a directory into the bucket with rclone. */
export function rclone(source: string, directory: string, params: Params, options: readonly string[]): void {
  // Nothing else: AWS_CA_BUNDLE alone stops it.
  const env = {
    PATH: process.env.PATH,
    RCLONE_CONFIG_S3_TYPE: 's3',
    RCLONE_CONFIG_S3_PROVIDER: 'Ceph',
    RCLONE_CONFIG_S3_ENDPOINT: String(params.endpoint),
    RCLONE_CONFIG_S3_ACCESS_KEY_ID: String(params.accessKeyId),
    RCLONE_CONFIG_S3_SECRET_ACCESS_KEY: String(params.secretAccessKey),
  }
  const target = `${S3}:${BUCKET}/${basename(directory)}`
  const args = ['copy', '--config', '', '--s3-no-check-bucket', '--no-traverse', ...options, source, target]
  const { status, error, stderr } = spawnSync('rclone', args, { env, encoding: 'utf8' })
  if (error || status !== 0) throw error ?? new Error(`rclone failed: ${stderr}`)
}

/** Compares the etags of what a contestant has stored with those expected, by key, and removes it. */
export async function checkObjects(
  directory: string,
  params: Params,
  expected: ReadonlyMap<string, string>,
): Promise<void> {
  const client = clientOf(params)
  const prefix = objectOf(directory, '').Key
  const found = new Map<string, string>()
  let token: string | undefined
  do {
    const page = await client.send(
      new ListObjectsV2Command({ Bucket: BUCKET, Prefix: prefix, ...(token && { ContinuationToken: token }) }),
    )
    for (const { Key = '', ETag = '' } of page.Contents ?? []) found.set(Key.slice(prefix.length), ETag)
    token = page.NextContinuationToken
  } while (token !== undefined)
  for (const [key, etag] of expected) if (found.get(key) !== etag) throw new Error(`${key} was not stored as it is`)
  for (const key of found.keys()) await client.send(new DeleteObjectCommand(objectOf(directory, key)))
  client.destroy()
}
