/** A blob's name: its SHA-256, in lower-case hex. */
export type BlobId = `sha256:${string}`

/** The checksums that StoreD computes. */
export const ALGORITHMS = ['sha256', 'sha1', 'md5', 'crc32', 'crc32c', 'crc64nvme', 'xxh3'] as const

/** A checksum that StoreD computes; `sha256` names the blob. */
export type Algorithm = (typeof ALGORITHMS)[number]

/** Digests in lower-case hex, with leading zeros; numbers, as those of a CRC and of XXH3, are big-endian. */
export type Digests = Readonly<Partial<Record<Algorithm, string>>> & { readonly sha256: string }

/** Facts about a blob that hold wherever it is stored, and whatever it is called. */
export interface BlobFacts {
  readonly id: BlobId
  readonly checksums: Digests
  /** In bytes. */
  readonly size: number
}
