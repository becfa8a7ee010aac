import type { GetObjectCommandOutput, HeadObjectCommandOutput } from '@aws-sdk/client-s3'
import type { Stat } from '@stored/core/backend'

/** What a response says about its object. */
export function toStat(key: string, found: GetObjectCommandOutput | HeadObjectCommandOutput): Stat {
  const { ETag, LastModified, ContentType, ContentRange, ContentLength = 0 } = found
  const checksums = checksumsOf(found)
  return {
    key,
    size: ContentRange === undefined ? ContentLength : Number(ContentRange.slice(ContentRange.indexOf('/') + 1)),
    ...(LastModified && { modified: LastModified.getTime() }),
    ...(ETag !== undefined && { etag: ETag }),
    ...(ContentType !== undefined && { contentType: ContentType }),
    ...(checksums && { checksums }),
  }
}

/**
 * The checksums of whole objects. Those of a multipart upload are digests of digests, and end in the number of parts.
 */
function checksumsOf(found: GetObjectCommandOutput | HeadObjectCommandOutput): Stat['checksums'] | undefined {
  if (found.ChecksumType === 'COMPOSITE') return undefined
  const kept = {
    sha256: found.ChecksumSHA256,
    sha1: found.ChecksumSHA1,
    crc32c: found.ChecksumCRC32C,
    crc64nvme: found.ChecksumCRC64NVME,
  }
  const whole = Object.entries(kept).flatMap(([name, base64]) =>
    base64 === undefined || base64.includes('-') ? [] : [[name, Buffer.from(base64, 'base64').toString('hex')]],
  )
  return whole.length === 0 ? undefined : Object.fromEntries(whole)
}
