import fs from 'node:fs'
import { promisify } from 'node:util'

/**
 * The system calls of this driver as promises on plain descriptors: a FileHandle costs small blobs more than their reads.
 * An object, so that a test can put a fault in the way of one of them.
 */
export const io = {
  open: promisify(fs.open),
  close: promisify(fs.close),
  fsync: promisify(fs.fsync),
  fdatasync: promisify(fs.fdatasync),
  chmod: promisify(fs.chmod),
  rename: promisify(fs.rename),
  link: promisify(fs.link),
  unlink: promisify(fs.unlink),
  mkdir: promisify(fs.mkdir),
  rmdir: promisify(fs.rmdir),
  copyFile: promisify(fs.copyFile),
  readFile: promisify(fs.readFile),
  readlink: promisify(fs.readlink),
  realpath: promisify(fs.realpath.native),
  readdir: promisify(fs.readdir),

  lstat(path: string): Promise<fs.BigIntStats> {
    return new Promise((resolve, reject) => {
      fs.lstat(path, { bigint: true }, (error, stat) => (error ? reject(error) : resolve(stat)))
    })
  },

  /** Like `readdir`, but of names that need not be UTF-8. */
  entries(path: string): Promise<fs.Dirent<Buffer>[]> {
    return new Promise((resolve, reject) => {
      fs.readdir(path, { withFileTypes: true, encoding: 'buffer' }, (error, entries) =>
        error ? reject(error) : resolve(entries),
      )
    })
  },

  /** @returns The bytes read; 0 at the end of the file. */
  read(fd: number, buffer: Uint8Array, offset: number, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.read(fd, buffer, offset, buffer.length - offset, position, (error, count) =>
        error ? reject(error) : resolve(count),
      )
    })
  },

  /** @returns The bytes written, which may be fewer. */
  write(fd: number, buffer: Uint8Array, offset: number): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.write(fd, buffer, offset, buffer.length - offset, null, (error, count) =>
        error ? reject(error) : resolve(count),
      )
    })
  },
}
