import { is, needed, type OptionRulesOf } from '../backend/rules.ts'
import type { StoreDOptions } from './types.ts'

const SERVICE = needed(is.object)

export const OPTIONS = {
  ledger: { ...SERVICE, doc: 'Commits what changes together. Index, queue and staging must use the same one.' },
  index: { ...SERVICE, doc: 'What is known of blobs, keys and copies.' },
  queue: { ...SERVICE, doc: 'The jobs that bring copies to their backends.' },
  staging: { ...SERVICE, doc: 'Bytes that some backend has not received yet.' },
  cache: { ...is.object, otherwise: 'none', doc: 'Keeps what was read from remote backends.' },
  syncer: { ...SERVICE, doc: 'Runs the jobs, here or in another process.' },
  checksums: { ...SERVICE, doc: 'Computes digests.' },
  mimeTypeOf: { ...needed(is.callback), doc: 'Detects the MIME type of a blob by its key and its first bytes.' },
  backends: { ...SERVICE, doc: 'The backends, by name.' },
  defaultBackends: {
    ...is.names,
    otherwise: 'all backends',
    doc: 'Where copies go if a put names no backends.',
  },
  algorithms: { ...is.names, default: [], otherwise: 'none', doc: 'Checksums of every blob, in addition to SHA-256.' },
  prefix: {
    ...is.text,
    default: 'blobs',
    doc: 'The prefix of objects of layout `id`, and of keys that the caller does not choose.',
  },
  whenFull: {
    ...is.oneOf(['wait', 'refuse']),
    default: 'wait',
    doc: 'What a put does while staging is full: wait for space, in turn, or reject with STAGING_FULL.',
  },
  own: {
    expected: 'an array of places',
    holds: Array.isArray,
    default: [],
    otherwise: 'none are known',
    doc: "The directories of the store itself. No backend's medium may overlap with them.",
  },
} as const satisfies OptionRulesOf<StoreDOptions<string>>
