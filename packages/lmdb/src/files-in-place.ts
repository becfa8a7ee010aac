import { type Stats, statSync, truncateSync } from 'node:fs'
import path from 'node:path'
import { StorageError } from '@stored/core/backend'
import { INDEX_FILE } from './environment.ts'
import { GATE_FILES } from './gate.ts'
import { lockFileOf } from './lock-file.ts'

/** A file as it was when it was last looked at. */
interface Seen {
  readonly file: string
  readonly inode: number
  size: number
}

/**
 * The files that LMDB has as memory, as they were when the store was opened. Who cuts one off takes memory away (SIGBUS); who puts
 * another in its place, such as a backup, leaves this process one that nobody else sees, and whose commits are lost. So they are
 * looked at before they are used: for reads once in a turn of the event loop, for each commit. What happens between the look and the
 * use, nothing can help.
 */
export class FilesInPlace {
  readonly #read: readonly Seen[]
  readonly #locks: readonly Seen[]
  readonly #all: readonly Seen[]
  #isLookedAt = false
  #failure: StorageError | null = null

  static of(directory: string): FilesInPlace {
    const gate = GATE_FILES.map((name) => path.join(directory, name))
    return new FilesInPlace(path.join(directory, INDEX_FILE), gate)
  }

  /** Of a file that nobody else knows. */
  static alone(index: string): FilesInPlace {
    return new FilesInPlace(index, [])
  }

  private constructor(index: string, gate: readonly string[]) {
    this.#read = [index, lockFileOf(index)].map(see)
    this.#all = [...this.#read, ...gate.map(see), ...gate.map(lockFileOf).map(see)]
    this.#locks = this.#all.filter(({ file }) => file.endsWith(lockFileOf('')))
  }

  /** Why reads end from now on, if they do. */
  get failure(): StorageError | null {
    if (this.#isLookedAt) return this.#failure
    this.#isLookedAt = true
    setImmediate(() => {
      this.#isLookedAt = false
    })
    return this.#look(this.#read)
  }

  /** Why no commit can be made. */
  get commitFailure(): StorageError | null {
    return this.#look(this.#all)
  }

  /** Gives lock files that were cut off their length back: LMDB gives up its places there as it closes. */
  prepareToClose(): void {
    for (const { file, inode, size } of this.#locks) {
      const now = statOf(file)
      if (now?.ino === inode && now.size < size) truncateSync(file, size)
    }
  }

  #look(files: readonly Seen[]): StorageError | null {
    for (const seen of files) {
      if (this.#failure) break
      const now = statOf(seen.file)
      // Not to be looked at by this process any more: that says nothing of the file.
      if (now === null) continue
      const what = whatBecameOf(seen, now)
      if (what === null) seen.size = (now as Stats).size
      else this.#failure = lost(seen.file, what)
    }
    return this.#failure
  }
}

function see(file: string): Seen {
  const { ino, size } = statSync(file)
  return { file, inode: ino, size }
}

/** @returns `undefined`: there is none; `null`: that cannot be known. */
function statOf(file: string): Stats | undefined | null {
  try {
    return statSync(file, { throwIfNoEntry: false })
  } catch {
    return null
  }
}

/** They only ever grow. */
function whatBecameOf(seen: Seen, now: Stats | undefined): string | null {
  if (now === undefined) return 'was removed'
  if (now.ino !== seen.inode) return 'was replaced by another file'
  return now.size < seen.size ? `was cut off: ${now.size} of ${seen.size} bytes are there` : null
}

function lost(file: string, what: string): StorageError {
  const at = { op: 'read', key: path.basename(file) }
  return new StorageError('CORRUPT', at, {
    detail: `it ${what} while the store was open: close the store, then open it`,
  })
}
