import type { Address } from '@stored/core/backend'
import { flavorOf } from './flavors.ts'
import type { Settings } from './options.ts'

/** Host, path and bucket. AWS bucket names are unique across all regions and endpoints. */
export function addressOf({ endpoint, bucket, prefix }: Settings): Address {
  return { host: `s3:${serviceAt(endpoint)}/${bucket}`, path: prefix }
}

function serviceAt(endpoint: string | undefined): string {
  if (endpoint === undefined || flavorOf(endpoint) === 'aws') return 'aws'
  const { host, pathname } = new URL(endpoint)
  return host + pathname.replace(/\/$/, '')
}
