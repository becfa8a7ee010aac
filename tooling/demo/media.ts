import { readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { type Service, ServiceUnavailable, startService } from '@stored/services'
import type { Backend } from './stores.ts'

/** The medium of a backend, and how it goes away and comes back. */
export interface Medium extends AsyncDisposable {
  readonly backend: Backend
  /** In a word or two. */
  readonly title: string
  /** The folder, if it is one and can be walked. */
  readonly folder?: string
  /** Describes how it goes away and comes back. */
  readonly outage: string
  goAway(): Promise<void>
  comeBack(): Promise<void>
}

/** The backends if none are named: folders, one with each layout. */
export const FOLDERS = ['folder', 'vault']
/** The names that can be given. */
export const NAMES = ['local', 's3', 'sftp']
/** Media that need a server; the others are folders. */
export const SERVERS: Readonly<Record<string, (name: string) => Promise<Medium>>> = { s3: openBucket, sftp: openSftp }

/**
 * Starts all of them, or none.
 *
 * @throws {ServiceUnavailable} Servers that are not available here: says which, and how to get them.
 */
export async function openMedia(names: readonly string[], directory: string): Promise<Medium[]> {
  const opening = names.map((name) => SERVERS[name]?.(name) ?? openFolder(name, directory))
  const settled = await Promise.allSettled(opening)
  const media = settled.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  const failures = settled.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []))
  if (failures.length === 0) return media
  await closeMedia(media)
  const other = failures.find((failure) => !(failure instanceof ServiceUnavailable))
  throw other ?? new ServiceUnavailable(failures.map(({ message }) => message).join('\n'))
}

export async function closeMedia(media: readonly Medium[]): Promise<void> {
  await Promise.all(media.map((medium) => medium[Symbol.asyncDispose]()))
}

async function openFolder(name: string, directory: string): Promise<Medium> {
  const folder = join(directory, name)
  const layout = name === 'vault' ? 'id' : 'key'
  return {
    backend: { name, driver: 'fs', options: { root: folder }, layout },
    title: 'a folder',
    folder,
    outage: 'is taken away, and brought back a little later',
    goAway: () => rename(folder, `${folder}.away`),
    comeBack: () => rename(`${folder}.away`, folder),
    async [Symbol.asyncDispose]() {},
  }
}

async function openBucket(name: string): Promise<Medium> {
  const service = await startService('ceph-rgw', { CEPH_SUITE: 'forky' })
  const { S3_ENDPOINT = '', S3_REGION = '', S3_ACCESS_KEY_ID = '', S3_SECRET_ACCESS_KEY = '' } = service.env
  const credentials = { accessKeyId: S3_ACCESS_KEY_ID, secretAccessKey: S3_SECRET_ACCESS_KEY }
  const bucket = 'demo'
  // A copy: the SDK writes into its argument.
  const client = new S3Client({
    endpoint: S3_ENDPOINT,
    region: S3_REGION,
    forcePathStyle: true,
    credentials: { ...credentials },
  })
  await client.send(new CreateBucketCommand({ Bucket: bucket }))
  client.destroy()
  const options = { endpoint: S3_ENDPOINT, bucket, flavor: 'ceph', ...credentials }
  return ofServer(service, 'a bucket of Ceph RGW', { name, driver: 's3', options, layout: 'id' })
}

async function openSftp(name: string): Promise<Medium> {
  const service = await startService('sshd')
  const { SFTP_HOST, SFTP_PORT, SFTP_USERNAME, SFTP_PRIVATE_KEY = '', SFTP_FINGERPRINT, SFTP_ROOT = '' } = service.env
  const options = {
    host: SFTP_HOST,
    port: Number(SFTP_PORT),
    username: SFTP_USERNAME,
    privateKey: await readFile(SFTP_PRIVATE_KEY, 'utf8'),
    hostFingerprint: SFTP_FINGERPRINT,
    root: join(SFTP_ROOT, 'demo'),
  }
  return ofServer(service, 'a directory of OpenSSH', { name, driver: 'sftp', options, layout: 'key' })
}

function ofServer(service: Service, title: string, backend: Backend): Medium {
  return {
    backend,
    title,
    outage: 'is killed, and its server started again a little later',
    goAway: () => service.stop('SIGKILL'),
    comeBack: () => service.start(),
    [Symbol.asyncDispose]: () => service[Symbol.asyncDispose](),
  }
}
