import { createHash, randomUUID } from 'node:crypto'
import type { Capabilities, PutOptions, Stat } from '@stored/core/backend'
import { once } from '../src/subject.ts'
import { HttpBackend, putHeaders, statOf } from './http-backend.ts'
import { Upload } from './http-upload.ts'

const PART_BYTES = 256 << 10

/** The position of a put, and its blob. */
interface Checkpoint {
  readonly of: string
  readonly upload: string
}

/** Puts in parts that the server keeps until all have arrived; each is identified by its digest. */
export class ResumingHttpBackend extends HttpBackend {
  override readonly capabilities: Capabilities = Object.freeze({
    ...new HttpBackend({ endpoint: { host: '', port: 0 }, token: '' }).capabilities,
    resume: true,
    limits: { partSize: PART_BYTES },
  })

  override async put(key: string, body: AsyncIterable<Uint8Array>, options: PutOptions): Promise<Stat> {
    const { onCheckpoint, size = 0, signal } = options
    if (onCheckpoint === undefined || size <= PART_BYTES) return super.put(key, body, options)
    const of = `${options.sha256} of ${size} at ${key}`
    const former = this.goesOnFrom(of, options)
    const upload = former ?? randomUUID()
    if (former === null) await onCheckpoint(JSON.stringify({ of, upload }))
    const arrived = former === null ? [] : await this.arrived(key, upload, options)
    let part = 0
    for await (const bytes of partsOf(body)) {
      const path = `/bucket/u/${upload}/${part}`
      if (arrived[part] !== digest(bytes)) await this.bring(key, path, bytes, { size: bytes.byteLength, signal })
      part += 1
    }
    return this.bring(key, `/bucket/o/${encodeURIComponent(key)}`, new Uint8Array(), options, { 'x-upload': upload })
  }

  protected async bring(
    key: string,
    path: string,
    bytes: Uint8Array,
    options: PutOptions,
    more: Record<string, string> = {},
  ): Promise<Stat> {
    const headers = { ...putHeaders(options), ...more, 'content-length': bytes.byteLength }
    const exchange = {
      method: 'PUT',
      path,
      headers,
      at: { backend: this.name, op: 'put', key },
      signal: options.signal,
    }
    const response = await this.call(exchange, new Upload(once(bytes)))
    response.resume()
    return statOf(key, response.headers)
  }

  protected goesOnFrom(of: string, { checkpoint = '' }: PutOptions): string | null {
    const former = parse(checkpoint)
    return former?.of === of ? former.upload : null
  }

  /** Digests of the parts on the server, by number. */
  protected async arrived(key: string, upload: string, { signal }: PutOptions): Promise<readonly (string | null)[]> {
    const exchange = { method: 'GET', path: `/bucket/u/${upload}`, at: { backend: this.name, op: 'put', key }, signal }
    const response = await this.call(exchange)
    return JSON.parse(String(Buffer.concat(await Array.fromAsync(this.body(response, exchange)))))
  }
}

/** Starts over with every put, in a new upload. */
export class SendsAllAgain extends ResumingHttpBackend {
  protected override goesOnFrom(): null {
    return null
  }
}

async function* partsOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer, void, undefined> {
  let held: Uint8Array[] = []
  let size = 0
  for await (const chunk of body) {
    held.push(Uint8Array.from(chunk))
    size += chunk.byteLength
    if (size < PART_BYTES) continue
    const bytes = Buffer.concat(held)
    yield bytes.subarray(0, PART_BYTES)
    held = [bytes.subarray(PART_BYTES)]
    size -= PART_BYTES
  }
  if (size > 0) yield Buffer.concat(held)
}

function parse(checkpoint: string): Checkpoint | null {
  try {
    return JSON.parse(checkpoint)
  } catch {
    return null
  }
}

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
