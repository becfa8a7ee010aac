import fs from 'node:fs'
import { promisify } from 'node:util'

/** File calls without the cost of FileHandle: what a rival at its best would use. */
export const open = promisify(fs.open)
export const write: (fd: number, bytes: Uint8Array) => Promise<unknown> = promisify(fs.write)
const readAt = promisify(fs.read)
/** From where the last read ended. */
export const read = (fd: number, into: Uint8Array) => readAt(fd, into, 0, into.length, null)
export const fdatasync = promisify(fs.fdatasync)
export const fsync = promisify(fs.fsync)
export const rename = promisify(fs.rename)
export const readFile: (path: string) => Promise<Buffer> = promisify(fs.readFile)
/** Not asynchronous: closing a file that was flushed waits for nothing. */
export const close = fs.closeSync
