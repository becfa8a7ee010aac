/** What a capability means if it is declared, and what StoreD does if not. */
export interface CapabilityText {
  readonly means: string
  readonly otherwise: string
}

const KEPT_IN_INDEX = 'Only the index of StoreD keeps it'

/** The capabilities that a table shows, in its order. */
export const CAPABILITY_TEXTS: Readonly<Record<string, CapabilityText>> = Object.freeze({
  readOnly: { means: 'Blobs are read and listed, never written', otherwise: 'Blobs are written and deleted' },
  range: {
    means: 'A part of a blob is read without the rest',
    otherwise: 'Up to 16 MiB before the part are read and discarded; beyond that UNSUPPORTED',
  },
  ifAbsent: {
    means: 'Exactly one of many first writers of a key wins',
    otherwise: 'Refused with UNSUPPORTED; a store checks first, then writes',
  },
  ifMatch: {
    means: 'An overwrite, read or delete spares what someone else wrote in between',
    otherwise: 'Refused with UNSUPPORTED; a store compares first, then writes',
  },
  atomicOverwrite: {
    means: 'Readers see the former blob or the new one, never neither',
    otherwise: 'During an overwrite a reader may briefly find nothing, but never a mix',
  },
  order: {
    means: 'Listings come in the order of UTF-8 bytes',
    otherwise: 'Listings are sorted in memory on request, up to 100,000 keys',
  },
  startAfter: { means: 'A listing starts anywhere', otherwise: 'A listing starts at the first key and skips' },
  etag: {
    means: 'Changes whenever the content does; a weak one may miss two quick changes',
    otherwise: 'Only size and time reveal a change',
  },
  checksums: {
    means: 'Digests of whole blobs that the backend keeps',
    otherwise: 'A copy is verified by reading it',
  },
  contentType: { means: 'Kept beside the blob', otherwise: KEPT_IN_INDEX },
  metadata: { means: 'Kept beside the blob', otherwise: KEPT_IN_INDEX },
  usesFile: {
    means: 'A staged file is read and verified, and its blocks are shared',
    otherwise: 'A staged file is read, verified and written',
  },
  resume: {
    means: 'An interrupted put resumes',
    otherwise: 'An interrupted put starts over',
  },
  copy: { means: 'A blob is copied within the backend', otherwise: 'A copy is a get and a put' },
  deleteMany: { means: 'One call deletes many keys', otherwise: 'Keys are deleted one by one' },
  signedUrl: {
    means: 'A link gives anyone access to a blob for a limited time',
    otherwise: 'Refused with UNSUPPORTED',
  },
  watch: { means: 'Reports changes as they happen', otherwise: 'Changes are found by scanning' },
  sweep: {
    means: 'Removes what killed puts left behind',
    otherwise: 'The operator of the backend removes what killed puts left behind',
  },
  local: { means: 'Read without a cache', otherwise: 'Reads may go through the read cache' },
  'keys.caseSensitive': {
    means: '`a` and `A` are two keys',
    otherwise: 'The second of `a` and `A` is refused with KEY_CONFLICT',
  },
  'keys.normalizes': {
    means: 'The second of two keys that differ only in Unicode composition is refused with KEY_CONFLICT',
    otherwise: 'Keys that differ only in Unicode composition are two keys',
  },
  'keys.fileAndPrefix': {
    means: '`a` and `a/b` may both exist',
    otherwise: 'The second of `a` and `a/b` is refused with KEY_CONFLICT',
  },
  'keys.maxBytes': { means: 'The longest key, in bytes', otherwise: 'Keys have up to 1,024 bytes' },
  'keys.maxSegmentBytes': { means: 'The longest part of a key between slashes, in bytes', otherwise: 'No other limit' },
  'limits.maxSize': { means: 'The largest blob, in bytes', otherwise: 'No known limit' },
  'limits.needsSize': { means: 'A put must state its size', otherwise: 'A put may be a stream of unknown size' },
  'limits.partSize': {
    means: 'Size of the parts in which blobs are sent, in bytes',
    otherwise: 'Blobs are sent in one piece',
  },
  'limits.maxConcurrent': { means: 'Concurrent operations', otherwise: 'No known limit' },
})
