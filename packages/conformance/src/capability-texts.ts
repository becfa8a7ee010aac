/** What a capability means where it is declared, and what StoreD does where it is not. */
export interface CapabilityText {
  readonly means: string
  readonly otherwise: string
}

const KEPT_IN_INDEX = 'Only the index of StoreD keeps it'

/** Of every capability that a table shows, in its order. */
export const CAPABILITY_TEXTS: Readonly<Record<string, CapabilityText>> = Object.freeze({
  readOnly: { means: 'Blobs are read and listed, never written', otherwise: 'Blobs are written and deleted' },
  range: {
    means: 'A part of a blob is read without the rest',
    otherwise: 'What comes before is read and thrown away, up to 16 MiB; then UNSUPPORTED',
  },
  ifAbsent: {
    means: 'Of many first writers of a key exactly one wins',
    otherwise: 'Refused with UNSUPPORTED; a store looks first, and writes then',
  },
  ifMatch: {
    means: 'An overwrite, read or delete spares what someone else wrote meanwhile',
    otherwise: 'Refused with UNSUPPORTED; a store compares first, and writes then',
  },
  atomicOverwrite: {
    means: 'Readers see the former blob or the new one, never neither',
    otherwise: 'During an overwrite a reader may for a moment find nothing; never a mix',
  },
  order: {
    means: 'Listings come in the order of UTF-8 bytes',
    otherwise: 'Listings are sorted in memory when asked for, up to 100,000 keys',
  },
  startAfter: { means: 'A listing begins anywhere', otherwise: 'A listing begins at the start and skips' },
  etag: {
    means: 'Changes with every change of the content; when weak, not with two quick ones',
    otherwise: 'A change shows by size and time alone',
  },
  checksums: {
    means: 'Digests of whole blobs that the backend keeps',
    otherwise: 'A copy is verified by reading it',
  },
  contentType: { means: 'Kept beside the blob', otherwise: KEPT_IN_INDEX },
  metadata: { means: 'Kept beside the blob', otherwise: KEPT_IN_INDEX },
  usesFile: { means: 'A local file is handed over as it is', otherwise: 'A local file is read and sent' },
  resume: {
    means: 'A put that broke off goes on where it was',
    otherwise: 'A put that broke off begins anew',
  },
  copy: { means: 'A blob is copied within the backend', otherwise: 'A copy is a get and a put' },
  deleteMany: { means: 'Many keys are deleted by one call', otherwise: 'Keys are deleted one by one' },
  signedUrl: { means: 'A link serves a blob to anyone, for a time', otherwise: 'Refused with UNSUPPORTED' },
  watch: { means: 'Tells of changes as they happen', otherwise: 'Changes are found by scanning' },
  sweep: {
    means: 'Removes what killed puts left',
    otherwise: 'Whoever runs the backend removes what killed puts left',
  },
  local: { means: 'Read without a cache', otherwise: 'Reads may go through the read cache' },
  'keys.caseSensitive': {
    means: '`a` and `A` are two keys',
    otherwise: 'The second of `a` and `A` is refused with KEY_CONFLICT',
  },
  'keys.normalizes': {
    means: 'Of two keys that differ in Unicode composition alone the second is refused with KEY_CONFLICT',
    otherwise: 'Keys that differ in Unicode composition alone are two',
  },
  'keys.fileAndPrefix': {
    means: '`a` and `a/b` may both exist',
    otherwise: 'The second of `a` and `a/b` is refused with KEY_CONFLICT',
  },
  'keys.maxBytes': { means: 'The longest key, in bytes', otherwise: 'Keys have up to 1,024 bytes' },
  'keys.maxSegmentBytes': { means: 'The longest part of a key between slashes, in bytes', otherwise: 'No other limit' },
  'limits.maxSize': { means: 'The largest blob, in bytes', otherwise: 'No limit that is known' },
  'limits.needsSize': { means: 'The size is known before the first byte', otherwise: 'Streams may end when they end' },
  'limits.partSize': { means: 'Blobs are sent in parts of so many bytes', otherwise: 'Blobs are sent in one piece' },
  'limits.maxConcurrent': { means: 'Operations at a time', otherwise: 'No limit that is known' },
})
