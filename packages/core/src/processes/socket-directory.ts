import { once } from 'node:events'
import { type FileHandle, open, stat } from 'node:fs/promises'
import { createConnection, type Socket } from 'node:net'
import path from 'node:path'

/** Of a socket's path, in bytes. @see unix(7), sun_path; 104 with its NUL on macOS and the BSDs */
const MAX_PATH_BYTES = process.platform === 'linux' ? 107 : 103
/** Nobody listens there. */
const DEAD: ReadonlySet<string | undefined> = new Set(['ENOENT', 'ECONNREFUSED', 'ENOTSOCK'])

/** How a directory for sockets is made. */
export interface SocketDirectoryOptions {
  /** Where the system shows descriptors as paths. @default '/proc/self/fd' */
  descriptors?: string
}

/** A directory, by a path short enough for sockets in it: on Linux one that is too long leads through a descriptor. */
export class SocketDirectory {
  /** `null`: there is none. */
  readonly path: string | null
  readonly #handle: FileHandle | null

  /** @param nameBytes Of the longest name of a socket. */
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

/** @returns `null`: nobody listens there. @throws What does not tell whether somebody does. */
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
