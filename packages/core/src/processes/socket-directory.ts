import { once } from 'node:events'
import { type FileHandle, open, stat } from 'node:fs/promises'
import { createConnection, type Socket } from 'node:net'
import path from 'node:path'

/** The longest path of a socket, in bytes. @see unix(7), sun_path; 104 with its NUL on macOS and the BSDs */
const MAX_PATH_BYTES = process.platform === 'linux' ? 107 : 103
/** Nothing listens there. */
const DEAD: ReadonlySet<string | undefined> = new Set(['ENOENT', 'ECONNREFUSED', 'ENOTSOCK'])

/** Options for opening a directory of sockets. */
export interface SocketDirectoryOptions {
  /** Where the system exposes descriptors as paths. @default '/proc/self/fd' */
  descriptors?: string
}

/**
 * A directory with a path short enough for sockets in it: on Linux, one that is too long is reached through a
 * descriptor.
 */
export class SocketDirectory {
  /** `null`: there is none. */
  readonly path: string | null
  readonly #handle: FileHandle | null

  /** @param nameBytes The length of the longest socket name. */
  static async open(
    directory: string,
    nameBytes: number,
    { descriptors = '/proc/self/fd' }: SocketDirectoryOptions = {},
  ): Promise<SocketDirectory> {
    const resolved = path.resolve(directory)
    if (Buffer.byteLength(resolved) + 1 + nameBytes <= MAX_PATH_BYTES) return new SocketDirectory(resolved, null)
    const handle = await open(resolved)
    const short = path.join(descriptors, String(handle.fd))
    if (await stat(short).catch(() => null)) return new SocketDirectory(short, handle)
    await handle.close()
    return new SocketDirectory(null, null)
  }

  private constructor(short: string | null, handle: FileHandle | null) {
    this.path = short
    this.#handle = handle
  }

  async close(): Promise<void> {
    await this.#handle?.close()
  }
}

/** @returns `null`: nothing listens there. @throws Errors that do not tell whether something listens. */
export async function connectTo(file: string): Promise<Socket | null> {
  const socket = createConnection(file)
  try {
    await once(socket, 'connect')
    return socket
  } catch (error) {
    if (DEAD.has((error as NodeJS.ErrnoException).code)) return null
    throw error
  }
}
