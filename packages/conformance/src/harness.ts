import type { StorageBackend } from '@stored/core/backend'
import type { Endpoint } from './chaos-proxy.ts'

/** How to open an instance. What a harness cannot do is missing from `endpoint` and `creds`, and is not requested. */
export interface OpenOptions {
  /** Connect to this proxy instead of to `endpoint`. */
  readonly via?: Endpoint
  /** `bad`: rejected by the server · `readonly`: may not write. @default 'good' */
  readonly creds?: 'good' | 'bad' | 'readonly'
}

/** How the kit reaches one storage: all that a driver's author writes. */
export interface Harness {
  /** The driver's name, for titles and reports. */
  readonly name: string
  /** The version of the driver's package, for reports. */
  readonly version?: string
  /** The server that the driver runs against, for reports: `{ name: 'OpenSSH', version: '10.0p2' }`. */
  readonly server?: { readonly name: string; readonly version: string }
  /** A new instance on the same storage with each call. The kit opens it and closes it. */
  open(options?: OpenOptions): Promise<StorageBackend>
  /** Where the server listens on TCP. Enables network faults: `open` then takes `via`. */
  readonly endpoint?: Endpoint
  /** The kinds of credentials besides the good ones that `open` takes. */
  readonly creds?: readonly ('bad' | 'readonly')[]
  /** The prefix of the keys of one case; ends with a slash. @default `t/<run>/<case>/` */
  scope?(id: string): string
  /** What unfinished puts left behind, seen from outside the driver: temporary files, uncommitted uploads. */
  debris?(): Promise<readonly string[]>
  /** Touches the storage behind the driver's back. */
  readonly outsider?: Outsider
  /**
   * How many entries of a listing the driver fetches at a time, when made by `open`. Listings of several pages are also
   * tested in profile quick if a page has at most 100 entries: if a driver has an option for it, choose a small one.
   * @default 1,000
   */
  readonly pageSize?: number
  /** Valid names that the medium itself refuses: `a:b` on NTFS. Those beyond declared limits need not be listed. */
  readonly refusedNames?: readonly string[]
  /** Revokes a permission, and returns a function that restores it. */
  deny?(op: 'read' | 'write' | 'list'): Promise<() => Promise<void>>
  /**
   * Breaks the medium, and returns a function that restores it. Until then every operation of open instances fails in
   * the medium's own way: a server that answers 500 or was stopped, a directory that was moved away, a locked table.
   */
  fail?(): Promise<() => Promise<void>>
  /** An instance whose `open` must fail: a wrong root, a wrong address. */
  broken?(): Promise<StorageBackend>
  /** An instance on a bucket, container or directory that does not exist, if that is not created automatically. */
  noContainer?(): Promise<StorageBackend>
  /** Replaces the good credentials. Open instances were given a function, which now returns the new ones. */
  rotate?(): Promise<void>
  /** The secret parts of the current good credentials: texts that must not appear in any output. */
  secrets?(): readonly string[]
  /** Stops the server and starts it again, at the same address and on the same storage. */
  restartServer?(): Promise<void>
  /** Leaves room for this many more bytes, and returns a function that lifts the limit. */
  quota?(bytes: number): Promise<() => Promise<void>>
  /** Makes the server refuse the next requests as too many, with this `Retry-After`. */
  busy?(requests: number, retryAfterMs: number): Promise<void>
  /**
   * The blobs are in the memory of this process, whose growth therefore says nothing about the driver. @default false
   */
  readonly inProcess?: boolean
  /** The storage also holds blobs of others: no case writes, lists or sweeps outside its scope. @default false */
  readonly shared?: boolean
  /** Path of a module that calls `runChild`; the kit starts it as a separate process and kills it. */
  readonly child?: string
  /** Ends what the harness itself started: servers, directories. For the creator of the harness; no case calls it. */
  close?(): Promise<void>
  /** Cases known to fail, by id. They still run, and one that passes fails the run, so that its waiver is removed. */
  readonly waive?: Readonly<Record<string, Waiver>>
}

/**
 * What a module exports as `harness` for a command to run: a harness, or a function that makes one or returns the
 * reason why there is none here.
 */
export type HarnessExport = Harness | (() => Harness | string | Promise<Harness | string>)

/** A case that may fail, and why. */
export interface Waiver {
  readonly reason: string
  /** Where it is tracked: a URL. */
  readonly issue: string
}

/** Reaches the storage without the driver, as another program would. */
export interface Outsider {
  write(key: string, bytes: Uint8Array): Promise<void>
  /** Replaces the stored bytes with the result of `change`. */
  corrupt(key: string, change: (bytes: Uint8Array) => Uint8Array): Promise<void>
  /** Puts a symbolic link in the place of `key`, replacing whatever is there. `target` is its text. */
  symlink?(key: string, target: string): Promise<void>
  /**
   * Makes an empty directory in the place of `key`; in an object store, what its console makes for one: an empty
   * `key/`.
   */
  mkdir?(key: string): Promise<void>
  /** Makes something in the place of `key` that is not a blob and blocks its reader: a FIFO. */
  special?(key: string): Promise<void>
  /** Makes a blob below `prefix` whose name is not UTF-8: the bytes ff fe, which decode to U+FFFD twice. */
  undecodable?(prefix: string): Promise<void>
  /**
   * A directory outside the storage, as an absolute path that starts with the root's: `/d/abc` beside the root `/d/ab`.
   * A root compared without its separator takes it for its own.
   */
  readonly outside?: string
}
