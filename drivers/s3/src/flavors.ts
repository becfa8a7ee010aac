/** Which service speaks S3 here: they differ in what they accept and keep. */
export type Flavor = 'aws' | 'r2' | 'minio' | 'ceph' | 'generic'

/** What is known about a service in advance. `open` probes the rest. */
export interface Preset {
  /** If none is given. */
  readonly region: string | undefined
  readonly forcePathStyle: boolean
  /** It keeps the SHA-256 sent with a single-part object, and returns it. */
  readonly keepsSha256: boolean
  /** `p` and `p/q` may both exist. */
  readonly fileAndPrefix: boolean
}

const OTHER: Preset = { region: 'us-east-1', forcePathStyle: true, keepsSha256: false, fileAndPrefix: true }

const PRESETS: Readonly<Record<Flavor, Preset>> = {
  // Its regions differ: a made-up one leads to a redirect.
  aws: { ...OTHER, region: undefined, forcePathStyle: false, keepsSha256: true },
  r2: { ...OTHER, region: 'auto' },
  // Objects are directories there.
  minio: { ...OTHER, fileAndPrefix: false },
  // Since 20.2; older versions ignore the digest.
  ceph: { ...OTHER, keepsSha256: true },
  generic: OTHER,
}

export const FLAVORS = Object.keys(PRESETS) as readonly Flavor[]

export function presetOf(flavor: Flavor): Preset {
  return PRESETS[flavor]
}

/** The service at `endpoint`, as far as its name tells. */
export function flavorOf(endpoint: string | undefined): Flavor {
  if (endpoint === undefined) return 'aws'
  const { hostname } = new URL(endpoint)
  if (/(^|\.)amazonaws\.com(\.cn)?$/.test(hostname)) return 'aws'
  return hostname.endsWith('.r2.cloudflarestorage.com') ? 'r2' : 'generic'
}

/** Whether `bucket` is a directory bucket, which lists in no order and only from the beginning. */
export function isDirectoryBucket(bucket: string): boolean {
  return bucket.endsWith('--x-s3')
}
