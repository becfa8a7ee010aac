import type { Address } from '@stored/core/backend'
import { flavorOf } from './flavors.ts'
import type { Settings } from './options.ts'

/** By the host and the bucket. The names of AWS's buckets are the same in all regions, and so are those of its endpoints. */
export function addressOf({ endpoint, bucket, prefix }: Settings): Address {
  const service = endpoint === undefined || flavorOf(endpoint) === 'aws' ? 'aws' : new URL(endpoint).host
  return { host: `s3:${service}/${bucket}`, path: prefix }
}
