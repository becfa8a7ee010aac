import type { BackendOptions } from '@stored/core'
import type { CacheConfig, StagingConfig, StoreConfig } from '../config.ts'

/** What a configuration can say: checks, variables, explanations and the published JSON Schema all come from these tables. */
export interface Option {
  readonly is: 'text' | 'path' | 'prefix' | 'boolean' | 'count' | 'size' | 'choice' | 'list' | 'group' | 'backends'
  /** One line, for people. */
  readonly about: string
  readonly required?: true
  /** What holds when nothing is given. */
  readonly default?: boolean | string | number | readonly string[]
  /** The same in words, where it depends on the machine or on the driver. */
  readonly otherwise?: string
  /** Of a `choice`, or of what a `list` holds; a list without any names backends. */
  readonly choices?: readonly string[]
  /** Of a `count`. @default 1 */
  readonly least?: number
  /** Of a `group`. */
  readonly options?: Options
  /** `false` stands for: none of it. */
  readonly orFalse?: true
}

export type Options = Readonly<Record<string, Option>>

const SIZE = 'in bytes, or like "500 MB" and "1GiB"'

const STAGING_OPTIONS = {
  limit: {
    is: 'size',
    about: `Bytes that are not at all their backends yet, together: ${SIZE}.`,
    otherwise: 'a quarter of the disk',
  },
  whenFull: {
    is: 'choice',
    about: 'What a put does at the limit: wait for room, in turn, or reject with STAGING_FULL.',
    choices: ['wait', 'refuse'],
    default: 'wait',
  },
} as const satisfies Record<keyof StagingConfig, Option>

const CACHE_OPTIONS = {
  maxSize: { is: 'size', about: `Bytes of the read cache, together: ${SIZE}.`, default: '1GB' },
  location: {
    is: 'path',
    about: 'Directory of the read cache, on a local disk; stores may share one.',
    otherwise: '"cache" in the directory of the store',
  },
  evictionPolicy: {
    is: 'choice',
    about: 'What goes first: what was not read for the longest time (lru), or what was there first (fifo).',
    choices: ['lru', 'fifo'],
    default: 'lru',
  },
} as const satisfies Record<keyof CacheConfig, Option>

export const STORE_OPTIONS = {
  path: {
    is: 'path',
    about: 'Directory of the store: index, queue and staged bytes. Made when missing; a local disk.',
    required: true,
  },
  backends: {
    is: 'backends',
    about: 'Where copies can be, by name: the name of a driver and its options.',
    required: true,
  },
  defaultBackends: {
    is: 'list',
    about: 'Where copies shall be unless a put says otherwise.',
    otherwise: 'all backends',
  },
  checksums: {
    is: 'list',
    about: 'What is computed of every blob; SHA-256 always is.',
    choices: ['sha256', 'sha1', 'md5', 'xxh3'],
    default: ['sha256'],
  },
  prefix: { is: 'prefix', about: 'First part of the keys of objects named by their id.', default: 'blobs' },
  sync: {
    is: 'boolean',
    about: 'false: leave the syncing to another process, or to a later one.',
    default: true,
  },
  reserve: {
    is: 'count',
    about: 'Bytes of the disk that puts leave free.',
    least: 0,
    otherwise: '256 MiB or 1 % of the disk, at most a tenth of it',
  },
  allowNetworkFileSystem: {
    is: 'boolean',
    about: 'Open the store although it lies on a network or FUSE file system, where it may lose what it acknowledged.',
    default: false,
  },
  mode: {
    is: 'choice',
    about: 'Who may use the store, as the mode of its directories: its owner (0700), or also their group (0770).',
    choices: ['0700', '0770'],
    default: '0700',
  },
  staging: { is: 'group', about: 'Bytes that are not at all their backends yet.', options: STAGING_OPTIONS },
  cache: {
    is: 'group',
    about: 'Keeps blobs of backends that are not local, to be read again; needs the package @stored/read-cache.',
    options: CACHE_OPTIONS,
    default: false,
    orFalse: true,
  },
} as const satisfies Record<keyof StoreConfig, Option>

/** What the store itself takes of a backend; everything else is its driver's. */
export const BACKEND_OPTIONS = {
  layout: {
    is: 'choice',
    about: 'key: an object for each key, at that key. id: one for each blob, at <prefix>/sha256/ab/cd/<hash>.',
    choices: ['key', 'id'],
    default: 'key',
  },
  overwrite: { is: 'boolean', about: 'Write over what StoreD did not put there.', default: false },
  concurrency: { is: 'count', about: 'Jobs at a time.', otherwise: 'what the driver allows, at most 16' },
  bytesInFlight: {
    is: 'count',
    about: 'Bytes of the jobs under way at a time, together; a larger one goes alone.',
    default: 2 ** 30,
  },
  idleTimeoutMs: {
    is: 'count',
    about: 'No byte either way for so many milliseconds is a stall and ends the call with TIMEOUT.',
    default: 60_000,
  },
} as const satisfies Record<Exclude<keyof BackendOptions, 'backend'>, Option>

export const DRIVER_OPTION: Option = {
  is: 'text',
  about: 'fs, s3 …, the name of a package, or the path of a module that begins with a dot.',
  required: true,
}

/** As `checkBackendName` has it. */
export const BACKEND_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

/** The option at a path such as `cache`, `maxSize`; `undefined`: none, or a driver's. */
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
