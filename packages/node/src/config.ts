import type { Algorithm, BackendOptions } from '@stored/core'
import type { StorageBackend } from '@stored/core/backend'

/** A backend by the name of its driver: the driver's options and the store's side by side, as JSON has it. */
export interface NamedDriver extends Omit<BackendOptions, 'backend'> {
  /** `fs`, `s3` …, the name of a package, or a path. */
  driver: string
  [option: string]: unknown
}

/** A backend, a backend with the store's options, or the name of a driver with its options. */
export type BackendConfig = StorageBackend | BackendOptions | NamedDriver

/** All that makes a store. */
export interface StoreConfig<Backends extends Readonly<Record<string, BackendConfig>> = Record<string, BackendConfig>> {
  /** Directory of the store: index, queue and staged bytes. Made when missing; a local disk. */
  path: string
  /**
   * Who may use the store, as the mode of its directories: its owner, or everybody in the group of its directory. What is there
   * keeps its mode; `stored doctor --fix` changes it. @default '0700'
   */
  mode?: '0700' | '0770'
  /** Where copies can be, by name. */
  backends: Backends
  /** Where copies shall be unless a put says otherwise. @default all backends */
  defaultBackends?: readonly NoInfer<keyof Backends & string>[] | undefined
  /** What is computed of every blob; SHA-256 always is. @default ['sha256'] */
  checksums?: readonly Algorithm[]
  /** First part of the keys of objects named by their id. @default 'blobs' */
  prefix?: string
  /** `false`: leave the syncing to another process, or to a later one. @default true */
  sync?: boolean
  /** Bytes of the disk that puts leave free. @default the larger of 256 MiB and 1 % of the disk, but at most a tenth of it */
  reserve?: number
  /** Open the store although it lies on a network or FUSE file system, where it may lose what it acknowledged. @default false */
  allowNetworkFileSystem?: boolean
  /** Bytes that are not at all their backends yet. */
  staging?: StagingConfig
  /**
   * The read cache: blobs of backends that are not local, kept to be read again. It needs `@stored/read-cache` installed; `{}` is one
   * with the defaults. @default false
   */
  cache?: CacheConfig | false
}

/** The read cache, of blobs that lie on backends which are not local. */
export interface CacheConfig {
  /** Of the bodies together, in bytes or like `500 MB` and `1GiB`; of one, a quarter of it. @default '1GB' */
  maxSize?: number | string
  /** Directory, on a local disk; stores may share one. @default `cache` in the directory of the store */
  location?: string
  /** What goes first: what was not read for the longest time (`lru`), or what was there first (`fifo`). @default 'lru' */
  evictionPolicy?: 'lru' | 'fifo'
}

/** Bytes that are owed to a backend. */
export interface StagingConfig {
  /** Together, in bytes or like `500 MB` and `1GiB`. @default a quarter of the disk */
  limit?: number | string
  /** What a put does at the limit: wait for room, in turn, or reject with STAGING_FULL. @default 'wait' */
  whenFull?: 'wait' | 'refuse'
}

/** The configuration of a store, whatever its backends are called. */
export type UntypedConfig = Omit<StoreConfig<Readonly<Record<string, BackendConfig>>>, 'defaultBackends'> & {
  defaultBackends?: readonly string[] | undefined
}
