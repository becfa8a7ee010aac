import type { Algorithm, BackendOptions } from '@stored/core'
import type { CacheConfig, StagingConfig, StoreConfig } from '../config.ts'

/**
 * Everything that a configuration can contain: checks, variables, explanations and the published JSON Schema are all
 * generated from these tables.
 */
export interface Option {
  readonly is: 'text' | 'path' | 'prefix' | 'boolean' | 'count' | 'size' | 'choice' | 'list' | 'group' | 'backends'
  /** One line, for people. */
  readonly about: string
  readonly required?: true
  /** The value if none is given. */
  readonly default?: boolean | string | number | readonly string[]
  /** The default in words, if it depends on the machine or on the driver. */
  readonly otherwise?: string
  /** The values of a `choice`, or of the items of a `list`; a list without them contains backend names. */
  readonly choices?: readonly string[]
  /** For a `count`. @default 1 */
  readonly least?: number
  /** For a `group`. */
  readonly options?: Options
  /** `false` turns the whole group off. */
  readonly orFalse?: true
}

export type Options = Readonly<Record<string, Option>>

export const STAGING_OPTIONS = {
  limit: {
    is: 'size',
    about: 'Bytes that some backend has not received yet, or a text such as `500 MB`, `1GiB`.',
    otherwise: 'a quarter of the disk',
  },
  whenFull: {
    is: 'choice',
    about: 'What a put does at the limit: `wait` for space, in turn, or `refuse`, with STAGING_FULL.',
    choices: ['wait', 'refuse'],
    default: 'wait',
  },
} as const satisfies Record<keyof StagingConfig, Option>

export const CACHE_OPTIONS = {
  maxSize: {
    is: 'size',
    about: 'Bytes of the read cache, or a text such as `500 MB`, `1GiB`. A blob above a quarter of it does not enter.',
    default: '1GB',
  },
  location: {
    is: 'path',
    about: 'Directory of the read cache, on a local disk. Stores may share one.',
    otherwise: '"cache" in the directory of the store',
  },
  evictionPolicy: {
    is: 'choice',
    about: 'What goes first: the least recently read (`lru`), or the oldest (`fifo`).',
    choices: ['lru', 'fifo'],
    default: 'lru',
  },
} as const satisfies Record<keyof CacheConfig, Option>

export const STORE_OPTIONS = {
  path: {
    is: 'path',
    about: 'Directory of the store, on a local disk: index, queue and staged bytes. It is created if missing.',
    required: true,
  },
  backends: {
    is: 'backends',
    about:
      'Where copies can be, by name: `{ driver, …its options }`; in a program also a backend, or `{ backend, layout … }`.',
    required: true,
  },
  defaultBackends: {
    is: 'list',
    about: 'Where copies go unless a put says otherwise.',
    otherwise: 'all backends',
  },
  checksums: {
    is: 'list',
    about:
      'Digests to compute of every blob: `sha1`, `md5`, `crc32`, `crc32c`, `crc64nvme`, `xxh3`, and always `sha256`. A put can ask for more.',
    choices: ['sha256', 'sha1', 'md5', 'crc32', 'crc32c', 'crc64nvme', 'xxh3'] satisfies readonly Algorithm[],
    default: ['sha256'],
  },
  prefix: { is: 'prefix', about: 'First part of the keys of objects named by their id.', default: 'blobs' },
  sync: {
    is: 'boolean',
    about: '`false`: leave the syncing to another process, or to a later one.',
    default: true,
  },
  reserve: {
    is: 'count',
    about: 'Bytes of the disk that puts leave free.',
    least: 0,
    otherwise: 'the larger of 256 MiB and 1 % of the disk, but at most a tenth of it',
  },
  allowNetworkFileSystem: {
    is: 'boolean',
    about: 'Open the store on a network or FUSE file system, where it may lose what it acknowledged.',
    default: false,
  },
  mode: {
    is: 'choice',
    about:
      'Who may use a new store: only its owner (`0700`), or also the group of its directory (`0770`). `stored doctor --fix` changes an existing one.',
    choices: ['0700', '0770'],
    default: '0700',
  },
  staging: { is: 'group', about: 'Bytes that some backend has not received yet.', options: STAGING_OPTIONS },
  cache: {
    is: 'group',
    about:
      'Keeps blobs of backends that are not local, to be read again; `{}` has the defaults. Needs the package `@stored/read-cache`.',
    options: CACHE_OPTIONS,
    default: false,
    orFalse: true,
  },
} as const satisfies Record<keyof StoreConfig, Option>

/** The store's own options of a backend; all others belong to its driver. */
export const BACKEND_OPTIONS = {
  layout: {
    is: 'choice',
    about: '`key`: one object per key, at that key. `id`: one object per blob, at `<prefix>/sha256/ab/cd/<hash>`.',
    choices: ['key', 'id'],
    default: 'key',
  },
  overwrite: { is: 'boolean', about: 'Overwrite what StoreD did not put there.', default: false },
  concurrency: { is: 'count', about: 'Concurrent jobs.', otherwise: 'what the driver allows, at most 16' },
  bytesInFlight: {
    is: 'count',
    about: 'Bytes of all running jobs together. A larger job runs alone.',
    default: 2 ** 30,
    otherwise: '1 GiB',
  },
  idleTimeoutMs: {
    is: 'count',
    about: 'A call in which no byte moves for this many milliseconds ends with TIMEOUT.',
    default: 60_000,
    otherwise: '60,000',
  },
} as const satisfies Record<Exclude<keyof BackendOptions, 'backend'>, Option>

export const DRIVER_OPTION: Option = {
  is: 'text',
  about: '`fs`, `s3` …, the name of a package, or the path of a module that begins with a dot.',
  required: true,
}

/** The same as in `checkBackendName`. */
export const BACKEND_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

/** The option at a path such as `cache`, `maxSize`; `undefined` if there is none, or it is a driver's. */
export function optionAt([first = '', second, ...rest]: readonly string[]): Option | undefined {
  const option = own(STORE_OPTIONS, first)
  if (second === undefined || option === undefined) return option
  if (option.is !== 'backends') return rest.length === 0 ? own(option.options ?? {}, second) : undefined
  if (rest.length !== 1) return undefined
  return rest[0] === 'driver' ? DRIVER_OPTION : own(BACKEND_OPTIONS, rest[0] as string)
}

export function own(options: Options, name: string): Option | undefined {
  return Object.hasOwn(options, name) ? options[name] : undefined
}
