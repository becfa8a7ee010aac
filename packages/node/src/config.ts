import type { Algorithm, BackendOptions } from '@stored/core'
import type { StorageBackend } from '@stored/core/backend'

/** A backend given by the name of its driver: the driver's options and the store's options side by side, as in JSON. */
export interface NamedDriver extends Omit<BackendOptions, 'backend'> {
  /** `fs`, `s3` …, the name of a package, or a path. */
  driver: string
  [option: string]: unknown
}

/** A backend, a backend with the store's options, or the name of a driver with its options. */
export type BackendConfig = StorageBackend | BackendOptions | NamedDriver

/** Everything that makes up a store. */
export interface StoreConfig<Backends extends Readonly<Record<string, BackendConfig>> = Record<string, BackendConfig>> {
  /** Directory of the store, on a local disk: index, queue and staged bytes. It is created if missing. */
  path: string
  /**
   * Who may use a new store: only its owner (`0700`), or also the group of its directory (`0770`). `stored doctor --fix`
   * changes an existing one.
   *
   * @default '0700'
   */
  mode?: '0700' | '0770'
  /**
   * Where copies can be, by name: `{ driver, …its options }`; in a program also a backend, or `{ backend, layout … }`.
   */
  backends: Backends
  /** Where copies go unless a put says otherwise. @default all backends */
  defaultBackends?: readonly NoInfer<keyof Backends & string>[] | undefined
  /**
   * Digests to compute of every blob: `sha1`, `md5`, `crc32`, `crc32c`, `crc64nvme`, `xxh3`, and always `sha256`. A put can
   * ask for more.
   *
   * @default ['sha256']
   */
  checksums?: readonly Algorithm[]
  /** First part of the keys of objects named by their id. @default 'blobs' */
  prefix?: string
  /** `false`: leave the syncing to another process, or to a later one. @default true */
  sync?: boolean
  /**
   * Bytes of the disk that puts leave free.
   *
   * @default the larger of 256 MiB and 1 % of the disk, but at most a tenth of it
   */
  reserve?: number
  /** Open the store on a network or FUSE file system, where it may lose what it acknowledged. @default false */
  allowNetworkFileSystem?: boolean
  /** Bytes that some backend has not received yet. */
  staging?: StagingConfig
  /**
   * Keeps blobs of backends that are not local, to be read again; `{}` has the defaults. Needs the package
   * `@stored/read-cache`.
   *
   * @default false
   */
  cache?: CacheConfig | false
}

/** The read cache, for blobs on backends that are not local. */
export interface CacheConfig {
  /**
   * Bytes of the read cache, or a text such as `500 MB`, `1GiB`. A blob above a quarter of it does not enter.
   *
   * @default '1GB'
   */
  maxSize?: number | string
  /**
   * Directory of the read cache, on a local disk. Stores may share one.
   *
   * @default "cache" in the directory of the store
   */
  location?: string
  /** What goes first: the least recently read (`lru`), or the oldest (`fifo`). @default 'lru' */
  evictionPolicy?: 'lru' | 'fifo'
}

/** Bytes that some backend has not received yet. */
export interface StagingConfig {
  /** Bytes that some backend has not received yet, or a text such as `500 MB`, `1GiB`. @default a quarter of the disk */
  limit?: number | string
  /** What a put does at the limit: `wait` for space, in turn, or `refuse`, with STAGING_FULL. @default 'wait' */
  whenFull?: 'wait' | 'refuse'
}

/** The configuration of a store with any backend names. */
export type UntypedConfig = Omit<StoreConfig<Readonly<Record<string, BackendConfig>>>, 'defaultBackends'> & {
  defaultBackends?: readonly string[] | undefined
}
