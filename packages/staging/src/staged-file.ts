import { type BigIntStats, fstatSync } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'
import { mapErrno, StorageError } from '@stored/core/backend'
import { setMode } from '@stored/core/files'

const CHUNK = 1024 * 1024

/** More pieces than this take more than one system call. @see writev(2), IOV_MAX */
const MOST_PIECES = 1024

/** How a file is written. */
interface Writing {
  /**
   * Asked before each chunk is taken, with the bytes that are not written yet and with all bytes up to its end; nothing more is read before
   * it resolves.
   */
  require(bytes: number, total: number): Promise<void>
  readonly signal: AbortSignal
  /** Of the file, whatever the umask. @default 0o600 */
  readonly mode?: number
  /** Chunks stay as they are. @default false: until the next but one is asked for */
  readonly owned?: boolean
}

/**
 * Writes a new file and flushes it. Small chunks are gathered to 1 MiB, and that is written while the next ones are read and hashed.
 *
 * @returns The size in bytes.
 */
export async function writeFileBody(file: string, body: AsyncIterable<Uint8Array>, o: Writing): Promise<number> {
  const at = { op: 'put' }
  const { mode = 0o600, owned = false } = o
  let size = 0
  let handle: FileHandle | undefined
  let writing: Promise<void> = Promise.resolve()
  try {
    const opened = await open(file, 'wx', 0o600).catch((error) => {
      throw mapErrno(error, at)
    })
    handle = opened
    if (mode !== 0o600) await setMode(file, mode)
    let pieces: Uint8Array[] = []
    let gathered = 0
    const write = async () => {
      await writing
      writing = writeAll(opened, pieces, size - gathered)
      // It is awaited with the next write; until then a failure is not unhandled.
      writing.catch(() => {})
      pieces = []
      gathered = 0
    }
    for await (const chunk of body) {
      await o.require(gathered + chunk.length, size + chunk.length)
      o.signal.throwIfAborted()
      // With the next one the former may change: by then it is written, or was copied.
      if (!owned) {
        await writing
        const former = pieces.pop()
        if (former) pieces.push(Buffer.from(former))
      }
      pieces.push(chunk)
      gathered += chunk.length
      size += chunk.length
      if (gathered >= CHUNK || pieces.length === MOST_PIECES) await write()
    }
    await write()
    await writing
    await opened.datasync().catch((error) => {
      throw mapErrno(error, at)
    })
    return size
  } finally {
    // A write under way must end before its descriptor is closed and used for another file.
    await Promise.allSettled([writing])
    await handle?.close()
  }
}

async function writeAll(handle: FileHandle, pieces: readonly Uint8Array[], position: number): Promise<void> {
  try {
    for (let left = pieces, at = position; left.length > 0; ) {
      const { bytesWritten } = await handle.writev([...left], at)
      left = after(left, bytesWritten)
      at += bytesWritten
    }
  } catch (error) {
    throw mapErrno(error, { op: 'put' })
  }
}

/** What is left of pieces without their first `count` bytes. */
function after(pieces: readonly Uint8Array[], count: number): readonly Uint8Array[] {
  let left = count
  const next = pieces.findIndex(({ length }) => {
    if (left < length) return true
    left -= length
    return false
  })
  if (next === -1) return []
  return [(pieces[next] as Uint8Array).subarray(left), ...pieces.slice(next + 1)]
}

export interface FileBody extends AsyncDisposable {
  readonly body: AsyncIterable<Uint8Array>
}

interface FileRange {
  readonly offset: number
  readonly end: number
  readonly signal: AbortSignal
}

/** Opens a file for one reading of a range; `null` when it is not there. The next chunk is read while one is used. */
export async function readFileBody(file: string, o: FileRange): Promise<FileBody | null> {
  const handle = await openIfThere(file)
  return handle && { body: chunks(handle, o), [Symbol.asyncDispose]: () => handle.close() }
}

/**
 * The same, with the name of the file for somebody who takes the bytes by that name while they are read. The body ends with
 * SOURCE_CHANGED when the file was written to since it was opened, or another took its place. One that was removed is read to its end:
 * by its name nothing wrong could be had.
 */
export async function readNamedFile(file: string, o: FileRange): Promise<(FileBody & { file: string }) | null> {
  const handle = await openIfThere(file)
  if (!handle) return null
  // Before the name is told: a clone may be made of the file before the body is read.
  const was = fstatSync(handle.fd, { bigint: true })
  return { file, body: unchanged(file, { handle, was }, o), [Symbol.asyncDispose]: () => handle.close() }
}

async function* unchanged(
  file: string,
  { handle, was }: { readonly handle: FileHandle; readonly was: BigIntStats },
  o: FileRange,
): AsyncGenerator<Uint8Array> {
  yield* chunks(handle, o)
  const named = await stat(file, { bigint: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw mapErrno(error, { op: 'get' })
  })
  // Its ctime tells also that a file was away in between; its removal changes that.
  const parts = named ? (['dev', 'ino', 'size', 'mtimeNs', 'ctimeNs'] as const) : (['size', 'mtimeNs'] as const)
  const now = named ?? fstatSync(handle.fd, { bigint: true })
  if (parts.some((part) => now[part] !== was[part]))
    throw new StorageError('SOURCE_CHANGED', { op: 'get' }, { detail: 'a staged file changed while it was read' })
}

async function openIfThere(file: string): Promise<FileHandle | null> {
  try {
    return await open(file, 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw mapErrno(error, { op: 'get' })
  }
}

async function* chunks(handle: FileHandle, { offset, end, signal }: FileRange): AsyncGenerator<Uint8Array> {
  const read = (position: number) => {
    const chunk = position < end ? readChunk(handle, position, Math.min(CHUNK, end - position)) : null
    chunk?.catch(() => {}) // Awaited with the next turn; until then a failure is not unhandled.
    return chunk
  }
  let next = read(offset)
  try {
    for (let position = offset; next; ) {
      const chunk: Buffer = await next
      signal.throwIfAborted()
      position += chunk.length
      next = read(position)
      yield chunk
    }
  } finally {
    // A reader that leaves early closes the file: not under a read.
    await Promise.allSettled([next])
  }
}

async function readChunk(handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const chunk = Buffer.allocUnsafeSlow(length)
  try {
    const { bytesRead } = await handle.read(chunk, 0, length, position)
    if (bytesRead === 0) throw new StorageError('CORRUPT', { op: 'get' }, { detail: 'a staged file is too short' })
    return bytesRead === length ? chunk : chunk.subarray(0, bytesRead)
  } catch (error) {
    throw StorageError.is(error) ? error : mapErrno(error, { op: 'get' })
  }
}
