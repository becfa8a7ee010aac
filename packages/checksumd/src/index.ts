export { ChecksumPool, type ChecksumPoolOptions } from './checksum-pool.ts'
export { type FileDigestsOptions, fileDigests } from './file-digests.ts'
export { checksums } from './hasher.ts'
