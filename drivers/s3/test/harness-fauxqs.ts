import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import type { Harness, Waiver } from '@stored/conformance'
import { startFauxqs } from '@stored/services'
import manifest from '../package.json' with { type: 'json' }
import { S3Backend, type S3BackendOptions } from '../src/index.ts'
import { Gate } from './gate.ts'

const BUCKET = 'stored'
const ORDER = 'https://docs.aws.amazon.com/AmazonS3/latest/userguide/ListingKeysUsingAPIs.html'
const NO_LISTS = 'https://github.com/kibertoad/fauxqs/issues/269'

/** How fauxqs differs from S3. */
const WAIVED: Readonly<Record<string, Waiver>> = {
  'ls.order': {
    reason: 'it sorts keys by the language of the machine, not by their UTF-8 bytes',
    issue: ORDER,
  },
  'ls.after': {
    reason: 'it compares start-after by UTF-16 units, and so leaves out keys beyond U+FFFF',
    issue: 'https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html',
  },
  ...Object.fromEntries(
    ['ls.pages', 'ls.pages-deleted', 'ls.pages-changed', 'ls.resumed', 'ls.hint'].map((id) => [
      id,
      { reason: 'it begins a page in another order than it sorts in, and so leaves out keys', issue: ORDER },
    ]),
  ),
  ...Object.fromEntries(
    ['at.sweep', 'op.sweep-blobs', 'op.sweep-young', 'op.sweep-other', 'op.sweep-running'].map((id) => [
      id,
      { reason: 'it answers ListMultipartUploads with a listing of objects', issue: NO_LISTS },
    ]),
  ),
  'rs.cut': { reason: 'it answers ListParts with the object', issue: NO_LISTS },
  'rs.resent': { reason: 'it answers ListParts with the object, or that there is none', issue: NO_LISTS },
  'rs.other-bytes': { reason: 'it answers ListParts with the object', issue: NO_LISTS },
  'au.bad': {
    reason: 'it checks no signature',
    issue: 'https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html',
  },
}

/** An emulator, for machines without Ceph. It has no users, policies or quotas, and forgets everything when it ends. */
export async function harness(): Promise<Harness> {
  const fauxqs = await startFauxqs()
  const { hostname: host, port } = new URL(fauxqs.endpoint)
  const gate = await Gate.start(fauxqs.endpoint)
  const credentials = { accessKeyId: 'stored', secretAccessKey: randomBytes(20).toString('hex') }
  const common = { bucket: BUCKET, credentials, partSize: 5 << 20 }
  const make = (options: Partial<S3BackendOptions> = {}) =>
    new S3Backend({ endpoint: gate.endpoint, ...common, ...options })
  const plain = new S3Client({ endpoint: fauxqs.endpoint, region: 'us-east-1', forcePathStyle: true, credentials })
  await plain.send(new CreateBucketCommand({ Bucket: BUCKET }))
  // For the process that `child` runs in.
  process.env.STORED_TEST_S3 = JSON.stringify({ endpoint: fauxqs.endpoint, ...common })
  const write = async (Key: string, Body: Uint8Array): Promise<void> => {
    await plain.send(new PutObjectCommand({ Bucket: BUCKET, Key, Body }))
  }
  const read = async (Key: string): Promise<Uint8Array> => {
    const { Body } = await plain.send(new GetObjectCommand({ Bucket: BUCKET, Key }))
    return (await Body?.transformToByteArray()) ?? new Uint8Array()
  }
  return {
    name: 's3',
    version: manifest.version,
    server: { name: 'fauxqs (emulator)', version: fauxqs.version },
    endpoint: { host, port: Number(port) },
    creds: ['bad'],
    async open({ via, creds } = {}) {
      return make({
        ...(via && { endpoint: `http://${via.host}:${via.port}` }),
        ...(creds === 'bad' && { credentials: { ...credentials, secretAccessKey: 'x'.repeat(40) } }),
      })
    },
    outsider: { write, corrupt: async (key, change) => write(key, change(await read(key))) },
    broken: async () => make({ endpoint: 'http://127.0.0.1:1' }),
    noContainer: async () => make({ bucket: 'not-there' }),
    secrets: () => [credentials.secretAccessKey],
    async fail() {
      const mend = gate.break()
      return async () => mend()
    },
    busy: async (requests, retryAfterMs) => gate.refuse(requests, retryAfterMs),
    async close() {
      plain.destroy()
      await gate[Symbol.asyncDispose]()
      await fauxqs[Symbol.asyncDispose]()
    },
    child: fileURLToPath(new URL('./child.ts', import.meta.url)),
    waive: WAIVED,
  }
}
