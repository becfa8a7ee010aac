import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import {
  type _Object,
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  type MultipartUpload,
  NoSuchKey,
  NoSuchUpload,
  type Part,
  S3Client,
} from '@aws-sdk/client-s3'
import { ChaosProxy } from '@stored/conformance'
import type { Service } from '@stored/services'
import type { Where } from './protocol.ts'

/** Its processes: the gateway, which speaks S3 and stores nothing, and the store behind it. */
export type Daemon = 'gateway' | 'store'

/** The progress of everything. */
export interface Mark {
  /** Bytes from drivers: bodies, and their headers. */
  readonly sent: number
  /** Bytes stored: objects, and parts of unfinished uploads. */
  readonly arrived: number
}

const BUCKET = 'kill-remote'
/** Between two measurements of what arrived. */
const PAUSE_MS = 50
/** How long it may take to answer when asked why it takes so long. */
const ANSWER_MS = 5_000
/** The service's names for them. */
const PROCESSES: Readonly<Record<Daemon, string>> = { gateway: 'rgw', store: 'osd' }

/** Ceph with one bucket. Drivers reach it through a proxy that counts bytes; later checks go directly to it. */
export class Server implements AsyncDisposable {
  readonly #service: Service
  readonly #proxy: ChaosProxy
  readonly #client: S3Client

  private constructor(service: Service, proxy: ChaosProxy) {
    this.#service = service
    this.#proxy = proxy
    this.#client = new S3Client({
      endpoint: this.#variable('S3_ENDPOINT'),
      region: this.#variable('S3_REGION'),
      forcePathStyle: true,
      requestChecksumCalculation: 'WHEN_REQUIRED',
      credentials: this.#credentials,
      // After a start the gateway may take a moment.
      maxAttempts: 10,
    })
  }

  static async open(service: Service): Promise<Server> {
    const { hostname: host, port } = new URL(service.env.S3_ENDPOINT as string)
    const server = new Server(service, await ChaosProxy.start({ host, port: Number(port) }))
    await server.#client.send(new CreateBucketCommand({ Bucket: BUCKET }))
    return server
  }

  /** Bytes from drivers. */
  get sent(): number {
    return this.#proxy.bytes.up
  }

  /** Waits until the server has finished its requests. */
  async mark(): Promise<Mark> {
    for (let last = Number.NaN; ; await setTimeout(PAUSE_MS)) {
      const { sent } = this
      const arrived = await this.#arrived()
      if (arrived === last) return { sent, arrived }
      last = arrived
    }
  }

  where(partSize: number): Where {
    const { host, port } = this.#proxy.endpoint
    return { endpoint: `http://${host}:${port}`, bucket: BUCKET, flavor: 'ceph', partSize, ...this.#credentials }
  }

  /** Kills one of its processes and restarts it. @returns The progress before drivers reach it again. */
  async kill(daemon: Daemon): Promise<Mark> {
    await this.#service.stop('SIGKILL', PROCESSES[daemon])
    // As if nothing were listening: the proxy accepts and counts nothing.
    if (daemon === 'gateway') this.#proxy.refuse()
    try {
      await this.#service.start()
      // Otherwise there is always more to do.
      this.#proxy.stall('up')
      return await this.mark()
    } finally {
      this.#proxy.heal()
    }
  }

  /** Which of its processes are running, and what it answers, for people. */
  async standing(): Promise<readonly string[]> {
    const answer = await fetch(this.#variable('S3_ENDPOINT'), { signal: AbortSignal.timeout(ANSWER_MS) }).then(
      ({ status }) => `HTTP ${status}`,
      ({ message, cause = message }: Error) => String(cause),
    )
    const processes = ['mon', 'osd', 'rgw'].map((name) => `${name}: ${this.#stateOf(name)}`)
    return [`${processes.join(', ')}; the gateway answers: ${answer}`, `${this.sent} bytes came from drivers`]
  }

  /** @returns The SHA-256 of every object, by key. */
  async digests(): Promise<Map<string, string>> {
    const digests = new Map<string, string>()
    for (const { Key = '' } of await this.#objects()) digests.set(Key, await this.#digest(Key))
    return digests
  }

  /** Uploads that were begun and neither completed nor removed. */
  async unfinished(): Promise<readonly MultipartUpload[]> {
    const { Uploads = [] } = await this.#client.send(new ListMultipartUploadsCommand({ Bucket: BUCKET }))
    return Uploads
  }

  async remove(keys: Iterable<string>): Promise<void> {
    for (const Key of keys) await this.#client.send(new DeleteObjectCommand({ Bucket: BUCKET, Key }))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client.destroy()
    await this.#proxy.close()
    await this.#service[Symbol.asyncDispose]()
  }

  /** Without those that the driver keeps for itself. */
  async #objects(): Promise<readonly _Object[]> {
    const { Contents = [] } = await this.#client.send(new ListObjectsV2Command({ Bucket: BUCKET }))
    return Contents.filter(({ Key = '' }) => !Key.startsWith('.stored/'))
  }

  /** A kill during the completion of an upload leaves the object and the upload: bytes that are stored once. */
  async #arrived(): Promise<number> {
    const objects = await this.#objects()
    const keys = new Set(objects.map(({ Key }) => Key))
    const uploads = (await this.unfinished()).filter(({ Key }) => !keys.has(Key))
    const parts = await Promise.all(uploads.map((upload) => this.#parts(upload)))
    return [...objects, ...parts.flat()].reduce((sum, { Size = 0 }) => sum + Size, 0)
  }

  /**
   * None for an upload that has since been completed. While one is being completed Ceph says that there is no such key.
   */
  async #parts({ Key, UploadId }: MultipartUpload): Promise<readonly Part[]> {
    try {
      const { Parts = [] } = await this.#client.send(new ListPartsCommand({ Bucket: BUCKET, Key, UploadId }))
      return Parts
    } catch (error) {
      if (error instanceof NoSuchUpload || error instanceof NoSuchKey) return []
      throw error
    }
  }

  async #digest(Key: string): Promise<string> {
    const { Body } = await this.#client.send(new GetObjectCommand({ Bucket: BUCKET, Key }))
    const hash = createHash('sha256')
    for await (const chunk of Body as AsyncIterable<Uint8Array>) hash.update(chunk)
    return hash.digest('hex')
  }

  get #credentials(): { accessKeyId: string; secretAccessKey: string } {
    return { accessKeyId: this.#variable('S3_ACCESS_KEY_ID'), secretAccessKey: this.#variable('S3_SECRET_ACCESS_KEY') }
  }

  /** The state of one process. Their ids are in the directory of the service, each with its start time. */
  #stateOf(name: string): string {
    try {
      const [id] = readFileSync(join(dirname(this.#variable('S3_ADMIN')), `${name}.pid`), 'utf8').split(' ')
      return readFileSync(`/proc/${id}/status`, 'utf8').match(/^State:\s+(.*)$/m)?.[1] ?? 'gone'
    } catch {
      return 'gone'
    }
  }

  #variable(name: string): string {
    const value = this.#service.env[name]
    if (value === undefined) throw new Error(`ceph-rgw.sh does not print ${name}`)
    return value
  }
}
