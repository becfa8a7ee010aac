/** What is stored: part of a commit, and a separate file. Sizes in bytes. */
export const CONTENTS = { small: 3_000, 'folder/large': 200_000 } as const
export type Key = keyof typeof CONTENTS
export const KEYS = Object.keys(CONTENTS) as Key[]

/** Where the victim writes its messages: one line of JSON each. */
export const MESSAGES_FD = 3

/** How a call of the store ended; `code` is absent if it was fulfilled, `null` if the error is not a StorageError. */
export interface Outcome {
  readonly call: string
  readonly code?: string | null
  readonly message?: string
}

export type Message =
  /** The store is open: faults may begin once a line arrives on standard input. */
  | { readonly type: 'ready' }
  | { readonly type: 'done'; readonly outcomes: readonly Outcome[] }
  | { readonly type: 'unhandled'; readonly error: string }

/** strace's name for each system call. */
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
