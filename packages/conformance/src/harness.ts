import type { StorageBackend } from '@stored/core/backend'

/** How the kit reaches one storage: the whole of what a driver's author writes. */
export interface Harness {
  /** Of the driver, for titles and reports. */
  readonly name: string
  /** A new instance on the same storage with each call. The kit opens it and closes it. */
  open(): Promise<StorageBackend>
  /** Where the keys of one case lie; ends with a slash. @default `t/<run>/<case>/` */
  scope?(id: string): string
  /** What unfinished puts left behind, as someone beside the driver sees it: temporary files, uncommitted uploads. */
  debris?(): Promise<readonly string[]>
  /** Touches the storage behind the driver's back. */
  readonly outsider?: Outsider
  /** Takes a permission away, and returns how to give it back. */
  deny?(op: 'read' | 'write' | 'list'): Promise<() => Promise<void>>
  /** An instance whose `open` has to fail: a wrong root, a wrong address. */
  broken?(): Promise<StorageBackend>
  /** Path of a module that calls `runChild`; the kit starts it as a process of its own, and kills it. */
  readonly child?: string
  /** Cases known to fail, by id. They run all the same. */
  readonly waive?: Readonly<Record<string, Waiver>>
}

export interface Waiver {
  readonly reason: string
  /** Where it is followed up: a URL. */
  readonly issue: string
}

export interface Outsider {
  write(key: string, bytes: Uint8Array): Promise<void>
  /** Replaces the stored bytes by what `change` makes of them. */
  corrupt(key: string, change: (bytes: Uint8Array) => Uint8Array): Promise<void>
  /** Puts a symbolic link where `key` would lie, in place of whatever is there. `target` is its text. */
  symlink?(key: string, target: string): Promise<void>
  /** Makes an empty directory where `key` would lie. */
  mkdir?(key: string): Promise<void>
  /** Makes something that is no blob and blocks its reader where `key` would lie: a FIFO. */
  special?(key: string): Promise<void>
  /** Makes a blob below `prefix` whose name is not well-formed UTF-8. */
  undecodable?(prefix: string): Promise<void>
  /**
   * A directory outside the storage, as an absolute path that begins with the root's: `/d/abc` beside the root `/d/ab`. A
   * root compared without its separator takes it for its own.
   */
  readonly outside?: string
}
