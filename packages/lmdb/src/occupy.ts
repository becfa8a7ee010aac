import { access, constants, realpath, statfs } from 'node:fs/promises'
import path from 'node:path'
import { StorageError } from '@stored/core/backend'
import { type AccessMode, fileMode, makeDirectory, mapFileError } from '@stored/core/files'
import { Ballast } from './ballast.ts'
import { INDEX_FILE } from './environment.ts'
import { GATE_FILES } from './gate.ts'
import { requireLocalFileSystem } from './local-file-system.ts'
import { awaitLocks } from './lock-file.ts'
import { Opener } from './opener.ts'
import { DiskReserve, sizeOfDisk } from './reserve.ts'

const OPEN_KEY: unique symbol = Symbol.for('@stored/lmdb open')
/**
 * Directories open in this thread, by whatever copy of this package. Opened twice in one process, LMDB's locks break: to close one
 * descriptor of a file ends all that the process has locked of it. @see fcntl(2), Advisory record locking
 */
const OPEN = openDirectories()

/** The directory of a store that this process opens. */
export interface Occupied {
  readonly directory: string
  readonly fileMode: number
  readonly space: DiskReserve
  readonly ballast: Ballast | undefined
  /** Lets this process open it again. */
  leave(): Promise<void>
}

/**
 * Makes the directory of a store, and says that this process opens it.
 *
 * @throws {StorageError} @see LmdbLedger.open
 */
export async function occupy({
  path: given,
  mode,
  reserve,
  allowNetworkFileSystem,
}: {
  readonly path: string
  readonly mode: AccessMode
  readonly reserve?: number
  readonly allowNetworkFileSystem: boolean
}): Promise<Occupied> {
  const at = { op: 'open' }
  try {
    await makeDirectory(given, at, mode)
    // LMDB reports a directory it cannot write to only with its first commit.
    await access(given, constants.R_OK | constants.W_OK | constants.X_OK)
    if (!allowNetworkFileSystem) requireLocalFileSystem((await statfs(given)).type)
  } catch (error) {
    throw await mapFileError(error, given, at)
  }
  const directory = await realpath(given)
  const ballast = new Ballast(directory, sizeOfDisk(directory), fileMode(mode))
  const space = new DiskReserve(directory, reserve, ballast)
  space.requireHeadroom()
  if (OPEN.has(directory)) throw new StorageError('CONFLICT', at, { detail: 'this process has the store open already' })
  OPEN.add(directory)
  let opener: Opener | undefined
  const leave = async () => {
    try {
      // A socket that stays is dead, and the next to open removes it.
      await opener?.close()
    } finally {
      OPEN.delete(directory)
    }
  }
  try {
    opener = await Opener.register(directory)
    await awaitLocks(
      [...GATE_FILES, INDEX_FILE].map((name) => path.join(directory, name)),
      opener,
    )
    return { directory, fileMode: fileMode(mode), space, ballast, leave }
  } catch (error) {
    await Promise.allSettled([leave()])
    throw await mapFileError(error, directory, at)
  }
}

function openDirectories(): Set<string> {
  const shared = globalThis as { [OPEN_KEY]?: Set<string> }
  shared[OPEN_KEY] ??= new Set()
  return shared[OPEN_KEY]
}
