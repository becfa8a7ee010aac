/** What is stored: inside a commit, and as a file beside it. Sizes in bytes. */
export const CONTENTS = { small: 3_000, 'folder/large': 200_000 } as const
export type Key = keyof typeof CONTENTS
export const KEYS = Object.keys(CONTENTS) as Key[]

/** Where the victim writes what it says: a line of JSON each. */
export const MESSAGES_FD = 3

/** How a call of the store ended; `code` is absent when it was fulfilled, `null` for what is no StorageError. */
export interface Outcome {
  readonly call: string
  readonly code?: string | null
  readonly message?: string
}

export type Message =
  /** The store is open: faults may begin, and go on when a line comes on standard input. */
  | { readonly type: 'ready' }
  | { readonly type: 'done'; readonly outcomes: readonly Outcome[] }
  | { readonly type: 'unhandled'; readonly error: string }

/** How each call of the system is named to strace. */
export const CALLS: Readonly<Record<string, string>> = {
  write: 'write',
  pwrite: 'pwrite64,pwritev,pwritev2',
  writev: 'writev',
  fsync: 'fsync',
  fdatasync: 'fdatasync',
  msync: 'msync',
  rename: 'rename,renameat,renameat2',
  link: 'link,linkat',
  mkdir: 'mkdir,mkdirat',
  open: 'open,openat',
  unlink: 'unlink,unlinkat',
}
export const ERRORS = ['EIO', 'ENOSPC', 'EMFILE', 'EACCES', 'EDQUOT'] as const
