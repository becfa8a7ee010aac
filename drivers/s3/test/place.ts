import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import {
  CreateBucketCommand,
  GetObjectCommand,
  ListMultipartUploadsCommand,
  PutBucketPolicyCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import type { Service } from '@stored/services'
import type { Identity } from '../src/index.ts'

const run = promisify(execFile)

/** A bucket of a Ceph cluster as its owner sees it; the driver uses another account, which may have fewer rights. */
export class Place {
  readonly bucket = 'stored'
  readonly endpoint: string
  /** The owner's client, independent of the driver. */
  readonly plain: S3Client
  /** The driver's current credentials. */
  identity: Identity = newIdentity()
  readonly reader: Identity = newIdentity()
  readonly #env: Readonly<Record<string, string>>

  private constructor({ env }: Service) {
    this.#env = env
    this.endpoint = env.S3_ENDPOINT as string
    this.plain = new S3Client({
      endpoint: this.endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
      requestChecksumCalculation: 'WHEN_REQUIRED',
      credentials: {
        accessKeyId: env.S3_ACCESS_KEY_ID as string,
        secretAccessKey: env.S3_SECRET_ACCESS_KEY as string,
      },
    })
  }

  static async open(service: Service): Promise<Place> {
    const place = new Place(service)
    for (const [uid, identity] of [
      ['driver', place.identity],
      ['reader', place.reader],
    ] as const)
      await place.admin('user', 'create', `--uid=${uid}`, `--display-name=${uid}`, ...keysOf(identity))
    await place.plain.send(new CreateBucketCommand({ Bucket: place.bucket }))
    await place.deny([])
    return place
  }

  /** Ceph's version: `20.2.0`. */
  async version(): Promise<string> {
    return /ceph version (\d+\.\d+\.\d+)/.exec(await this.admin('--version'))?.[1] ?? 'unknown'
  }

  async admin(...args: string[]): Promise<string> {
    return (await run(this.#env.S3_ADMIN as string, args)).stdout
  }

  /** Denies actions to the driver; an empty list restores all of them. */
  async deny(actions: readonly string[]): Promise<void> {
    const { bucket } = this
    const Resource = [`arn:aws:s3:::${bucket}`, `arn:aws:s3:::${bucket}/*`]
    const allow = (uid: string, Action: readonly string[], Effect = 'Allow') => ({
      Effect,
      Principal: { AWS: [`arn:aws:iam:::user/${uid}`] },
      Action,
      Resource,
    })
    const Statement = [
      allow('driver', ['s3:*']),
      allow(this.#env.S3_USER as string, ['s3:*']),
      allow('reader', ['s3:GetObject', 's3:ListBucket']),
      ...(actions.length > 0 ? [allow('driver', actions, 'Deny')] : []),
    ]
    const Policy = JSON.stringify({ Version: '2012-10-17', Statement })
    await this.plain.send(new PutBucketPolicyCommand({ Bucket: bucket, Policy }))
  }

  async rotate(): Promise<void> {
    const former = this.identity
    const identity = newIdentity()
    await this.admin('key', 'create', '--uid=driver', '--key-type=s3', ...keysOf(identity))
    await this.admin('key', 'rm', '--uid=driver', '--key-type=s3', `--access-key=${former.accessKeyId}`)
    this.identity = identity
  }

  /** Leaves room for this many bytes. @returns A function that lifts the limit. */
  async limit(bytes: number): Promise<() => Promise<void>> {
    const stats = JSON.parse(await this.admin('bucket', 'stats', `--bucket=${this.bucket}`))
    const used = stats.usage?.['rgw.main']?.size_actual ?? 0
    const scope = ['--quota-scope=bucket', '--uid=stored', `--bucket=${this.bucket}`]
    await this.admin('quota', 'set', ...scope, `--max-size=${used + bytes}`)
    await this.admin('quota', 'enable', ...scope)
    return async () => void (await this.admin('quota', 'disable', ...scope))
  }

  /** Unfinished uploads, except probes. */
  async uploads(): Promise<string[]> {
    const { Uploads = [] } = await this.plain.send(new ListMultipartUploadsCommand({ Bucket: this.bucket }))
    return Uploads.map(({ Key = '' }) => Key).filter((key) => !key.includes('.stored/'))
  }

  async write(Key: string, Body: Uint8Array): Promise<void> {
    await this.plain.send(new PutObjectCommand({ Bucket: this.bucket, Key, Body }))
  }

  async read(Key: string): Promise<Uint8Array> {
    const { Body } = await this.plain.send(new GetObjectCommand({ Bucket: this.bucket, Key }))
    return (await Body?.transformToByteArray()) ?? new Uint8Array()
  }
}

function newIdentity(): Identity {
  return { accessKeyId: randomBytes(10).toString('hex'), secretAccessKey: randomBytes(20).toString('hex') }
}

function keysOf({ accessKeyId, secretAccessKey }: Identity): string[] {
  return [`--access-key=${accessKeyId}`, `--secret-key=${secretAccessKey}`]
}
