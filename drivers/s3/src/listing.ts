import {
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandOutput,
  ListObjectsV2Command,
} from '@aws-sdk/client-s3'
import { compareKeys, type ListOptions, RESERVED_PREFIX, type Stat } from '@stored/core/backend'
import type { Call, Client } from './client.ts'
import { isDirectoryBucket } from './flavors.ts'
import { Pages } from './pages.ts'

/** The blobs below `prefix`, which their names start with: holds one page of 1,000 at a time. */
export async function* listObjects(
  client: Client,
  prefix: string,
  options: ListOptions,
  call: Call,
): AsyncGenerator<Stat, void, void> {
  const { startAfter, hint = Number.POSITIVE_INFINITY } = options
  const pages = new Pages(call.at)
  const isOrdered = !isDirectoryBucket(client.bucket)
  let page: { ContinuationToken?: string | undefined } = {}
  let last: string | undefined
  do {
    const found = await client.send(
      new ListObjectsV2Command({
        Bucket: client.bucket,
        Prefix: prefix + options.prefix,
        // XML cannot represent every character.
        EncodingType: 'url',
        MaxKeys: Math.max(1, Math.min(1000, hint)),
        ...(startAfter !== undefined && { StartAfter: prefix + startAfter }),
        ...page,
      }),
      call,
    )
    const { Contents = [], IsTruncated, NextContinuationToken } = found
    const decode = decoderOf(found, pages)
    if (Contents.length > 0) {
      const former = last
      last = decode(Contents.at(-1)?.Key ?? '')
      // The same keys may come again under new tokens.
      if (isOrdered && former !== undefined && compareKeys(last, former) <= 0)
        throw pages.refusal('a listing that does not advance')
    }
    for (const { Key = '', Size = 0, ETag, LastModified } of Contents) {
      const key = decode(Key).slice(prefix.length)
      if (key.startsWith(RESERVED_PREFIX) || isDirectoryMarker(key, Size)) continue
      yield {
        key,
        size: Size,
        ...(ETag !== undefined && { etag: ETag }),
        ...(LastModified && { modified: LastModified.getTime() }),
      }
    }
    // If this page were taken for the last, all keys after it would be hidden. A service that knows only the first
    // version of the call answers this way.
    if (IsTruncated && !NextContinuationToken) throw pages.refusal('a page that is not the last but has no successor')
    page = { ContinuationToken: pages.follow(IsTruncated ? NextContinuationToken : undefined) }
  } while (page.ContinuationToken !== undefined)
}

/** A multipart upload that was begun and not finished. */
export interface Unfinished {
  /** Including the backend's prefix. */
  readonly name: string
  readonly uploadId: string
  /** Milliseconds since the epoch, by the service's clock. */
  readonly begun: number
}

interface UploadPage {
  readonly KeyMarker?: string | undefined
  readonly UploadIdMarker?: string | undefined
}

export async function* listUploads(client: Client, prefix: string, call: Call): AsyncGenerator<Unfinished, void, void> {
  const pages = new Pages(call.at)
  let page: UploadPage | undefined = {}
  while (page !== undefined) {
    const found: ListMultipartUploadsCommandOutput = await client.send(
      new ListMultipartUploadsCommand({ Bucket: client.bucket, Prefix: prefix, EncodingType: 'url', ...page }),
      call,
    )
    const decode = decoderOf(found, pages)
    for (const { Key = '', UploadId = '', Initiated } of found.Uploads ?? [])
      yield { name: decode(Key), uploadId: UploadId, begun: Initiated?.getTime() ?? Date.now() }
    const { IsTruncated, NextKeyMarker, NextUploadIdMarker } = found
    if (IsTruncated) pages.follow(`${NextKeyMarker} ${NextUploadIdMarker}`)
    page = IsTruncated
      ? { KeyMarker: NextKeyMarker && decode(NextKeyMarker), UploadIdMarker: NextUploadIdMarker }
      : undefined
  }
}

/** What consoles create to show an empty folder. */
function isDirectoryMarker(key: string, size: number): boolean {
  return size === 0 && (key === '' || key.endsWith('/'))
}

/** A service that does not know the encoding sends names unencoded, and does not mention it. */
function decoderOf({ EncodingType }: { EncodingType?: string | undefined }, pages: Pages): (name: string) => string {
  if (EncodingType !== 'url') return (name) => name
  return (name) => {
    try {
      return decodeURIComponent(name.replaceAll('+', ' '))
    } catch {
      throw pages.refusal('a name that is not encoded as declared')
    }
  }
}
