/** Which service speaks S3 here: each takes and keeps something else. */
export type Flavor = 'aws' | 'r2' | 'minio' | 'ceph' | 'generic'

/** What is known of a service beforehand. What can be tried is tried by `open` instead. */
export interface Preset {
  /** Where none is given. */
  readonly region: string | undefined
  readonly forcePathStyle: boolean
  /** It keeps the SHA-256 that comes with an object of one part, and tells it again. */
  readonly keepsSha256: boolean
  /** `p` and `p/q` may both exist. */
  readonly fileAndPrefix: boolean
}

const OTHER: Preset = { region: 'us-east-1', forcePathStyle: true, keepsSha256: false, fileAndPrefix: true }

const PRESETS: Readonly<Record<Flavor, Preset>> = {
  // Its regions differ: one that is made up leads to a redirect.
  aws: { ...OTHER, region: undefined, forcePathStyle: false, keepsSha256: true },
  r2: { ...OTHER, region: 'auto' },
  // Objects are directories there.
  minio: { ...OTHER, fileAndPrefix: false },
  // Since 20.2; what is older passes the digest over.
  ceph: { ...OTHER, keepsSha256: true },
  generic: OTHER,
}

export const FLAVORS = Object.keys(PRESETS) as readonly Flavor[]

export function presetOf(flavor: Flavor): Preset {
  return PRESETS[flavor]
}

/** What answers at `endpoint`, as far as its name tells. */
export function flavorOf(endpoint: string | undefined): Flavor {
  if (endpoint === undefined) return 'aws'
  const { hostname } = new URL(endpoint)
  if (/(^|\.)amazonaws\.com(\.cn)?$/.test(hostname)) return 'aws'
  return hostname.endsWith('.r2.cloudflarestorage.com') ? 'r2' : 'generic'
}

/** Whether `bucket` is a directory bucket, which lists in no order and from the beginning only. */
export function isDirectoryBucket(bucket: string): boolean {
  return bucket.endsWith('--x-s3')
}
