import type { StorageBackend } from '@stored/core/backend'
import type { Endpoint } from './chaos-proxy.ts'

/** How an instance is to be opened. What a harness cannot do it does not name in `endpoint` and `creds`, and is not asked. */
export interface OpenOptions {
  /** Connect there instead of to `endpoint`: a proxy before it. */
  readonly via?: Endpoint
  /** `bad`: not accepted · `readonly`: may not write. @default 'good' */
  readonly creds?: 'good' | 'bad' | 'readonly'
}

/** How the kit reaches one storage: the whole of what a driver's author writes. */
export interface Harness {
  /** Of the driver, for titles and reports. */
  readonly name: string
  /** Of the driver's package, for reports. */
  readonly version?: string
  /** What the driver is run against, for reports: `{ name: 'OpenSSH', version: '10.0p2' }`. */
  readonly server?: { readonly name: string; readonly version: string }
  /** A new instance on the same storage with each call. The kit opens it and closes it. */
  open(options?: OpenOptions): Promise<StorageBackend>
  /** Where the server listens, over TCP. Enables the faults of the wire: `open` then takes `via`. */
  readonly endpoint?: Endpoint
  /** The kinds of credentials, the good ones apart, that `open` takes. */
  readonly creds?: readonly ('bad' | 'readonly')[]
  /** Where the keys of one case lie; ends with a slash. @default `t/<run>/<case>/` */
  scope?(id: string): string
  /** What unfinished puts left behind, as someone beside the driver sees it: temporary files, uncommitted uploads. */
  debris?(): Promise<readonly string[]>
  /** Touches the storage behind the driver's back. */
  readonly outsider?: Outsider
  /**
   * How many entries of a listing the driver takes from its medium at a time, as `open` makes it. Several such pages are listed,
   * in profile quick too where they are of at most 100: give a driver that has an option for it a small one. @default 1,000
   */
  readonly pageSize?: number
  /** Names that the medium itself refuses, though they may stand in a key: `a:b` on NTFS. Those beyond declared limits need not be named. */
  readonly refusedNames?: readonly string[]
  /** Takes a permission away, and returns how to give it back. */
  deny?(op: 'read' | 'write' | 'list'): Promise<() => Promise<void>>
  /**
   * Breaks the medium, and returns how to mend it. Until then every operation of instances that are open fails, in the medium's own
   * way: a server that answers 500 or was stopped, a directory that was moved away, a table that is locked.
   */
  fail?(): Promise<() => Promise<void>>
  /** An instance whose `open` has to fail: a wrong root, a wrong address. */
  broken?(): Promise<StorageBackend>
  /** An instance on a bucket, container or directory that is not there, where that does not come into being by itself. */
  noContainer?(): Promise<StorageBackend>
  /** Makes the good credentials others. Instances that are open were given a function, which now answers with the new ones. */
  rotate?(): Promise<void>
  /** What is secret in the good credentials, now: texts that must not be found in anything printed. */
  secrets?(): readonly string[]
  /** Stops the server and starts it again, at the same address and on the same storage. */
  restartServer?(): Promise<void>
  /** Leaves room for so many bytes more, and returns how to lift that. */
  quota?(bytes: number): Promise<() => Promise<void>>
  /** Makes the server refuse the next requests as too many, asking to wait so long. */
  busy?(requests: number, retryAfterMs: number): Promise<void>
  /** The blobs lie in the memory of this process, whose growth therefore says nothing of the driver. @default false */
  readonly inProcess?: boolean
  /** Blobs of others lie there too: no case writes, lists or sweeps outside its scope. @default false */
  readonly shared?: boolean
  /** Path of a module that calls `runChild`; the kit starts it as a process of its own, and kills it. */
  readonly child?: string
  /** Ends what the harness itself began: servers, directories. For whoever made it; no case calls it. */
  close?(): Promise<void>
  /** Cases known to fail, by id. They run all the same, and one that passes fails the run: its waiver is to be removed. */
  readonly waive?: Readonly<Record<string, Waiver>>
}

/** What a module exports as `harness`, to be run by a command: one, or what makes one, or says why there is none here. */
export type HarnessExport = Harness | (() => Harness | string | Promise<Harness | string>)

/** A case that may fail, and why. */
export interface Waiver {
  readonly reason: string
  /** Where it is followed up: a URL. */
  readonly issue: string
}

/** Reaches the storage without the driver, as another program would. */
export interface Outsider {
  write(key: string, bytes: Uint8Array): Promise<void>
  /** Replaces the stored bytes by what `change` makes of them. */
  corrupt(key: string, change: (bytes: Uint8Array) => Uint8Array): Promise<void>
  /** Puts a symbolic link where `key` would lie, in place of whatever is there. `target` is its text. */
  symlink?(key: string, target: string): Promise<void>
  /** Makes an empty directory where `key` would lie; in an object store, what its console makes for one: an empty `key/`. */
  mkdir?(key: string): Promise<void>
  /** Makes something that is no blob and blocks its reader where `key` would lie: a FIFO. */
  special?(key: string): Promise<void>
  /** Makes a blob below `prefix` whose name is not UTF-8, the bytes ff fe: decoded, U+FFFD twice. */
  undecodable?(prefix: string): Promise<void>
  /**
   * A directory outside the storage, as an absolute path that begins with the root's: `/d/abc` beside the root `/d/ab`. A
   * root compared without its separator takes it for its own.
   */
  readonly outside?: string
}
