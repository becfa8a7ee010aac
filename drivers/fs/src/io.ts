import fs from 'node:fs'
import { promisify } from 'node:util'
import type { Pace } from './pace.ts'

const threads = {
  open: promisify(fs.open),
  close: promisify(fs.close),
  rename: promisify(fs.rename),
  link: promisify(fs.link),
  unlink: promisify(fs.unlink),
}

/**
 * The system calls of this driver as promises on plain descriptors: a FileHandle costs more than reading a small blob.
 * Calls that take a `pace` run synchronously where that is fast. An object, so that a test can inject faults.
 */
export const io = {
  async open(path: string, flags: string | number, mode?: number, pace?: Pace): Promise<number> {
    return pace?.isQuick ? pace.run(() => fs.openSync(path, flags, mode)) : threads.open(path, flags, mode)
  },

  async close(fd: number, pace?: Pace): Promise<void> {
    return pace?.isQuick ? pace.run(() => fs.closeSync(fd)) : threads.close(fd)
  },

  async rename(from: string, to: string, pace?: Pace): Promise<void> {
    return pace?.isQuick ? pace.run(() => fs.renameSync(from, to)) : threads.rename(from, to)
  },

  async link(from: string, to: string, pace?: Pace): Promise<void> {
    return pace?.isQuick ? pace.run(() => fs.linkSync(from, to)) : threads.link(from, to)
  },

  async unlink(path: string, pace?: Pace): Promise<void> {
    return pace?.isQuick ? pace.run(() => fs.unlinkSync(path)) : threads.unlink(path)
  },

  fsync: promisify(fs.fsync),
  fdatasync: promisify(fs.fdatasync),
  fchmod: promisify(fs.fchmod),
  mkdir: promisify(fs.mkdir),
  rmdir: promisify(fs.rmdir),
  copyFile: promisify(fs.copyFile),
  readFile: promisify(fs.readFile),
  readlink: promisify(fs.readlink),
  realpath: promisify(fs.realpath.native),
  readdir: promisify(fs.readdir),

  async lstat(path: string, pace?: Pace): Promise<fs.BigIntStats> {
    if (pace?.isQuick) return pace.run(() => fs.lstatSync(path, { bigint: true }))
    return new Promise((resolve, reject) => {
      fs.lstat(path, { bigint: true }, (error, stat) => (error ? reject(error) : resolve(stat)))
    })
  },

  /** Like `readdir`, but the names need not be UTF-8. */
  entries(path: string): Promise<fs.Dirent<Buffer>[]> {
    return new Promise((resolve, reject) => {
      fs.readdir(path, { withFileTypes: true, encoding: 'buffer' }, (error, entries) =>
        error ? reject(error) : resolve(entries),
      )
    })
  },

  /** @returns The bytes read; 0 at the end of the file. */
  async read(fd: number, buffer: Uint8Array, offset: number, position: number, pace?: Pace): Promise<number> {
    if (pace?.isQuick) return pace.run(() => fs.readSync(fd, buffer, offset, buffer.length - offset, position))
    return new Promise((resolve, reject) => {
      fs.read(fd, buffer, offset, buffer.length - offset, position, (error, count) =>
        error ? reject(error) : resolve(count),
      )
    })
  },

  /** @returns The bytes written, which may be fewer. */
  async write(fd: number, buffer: Uint8Array, offset: number, pace?: Pace): Promise<number> {
    if (pace?.isQuick) return pace.run(() => fs.writeSync(fd, buffer, offset, buffer.length - offset, null))
    return new Promise((resolve, reject) => {
      fs.write(fd, buffer, offset, buffer.length - offset, null, (error, count) =>
        error ? reject(error) : resolve(count),
      )
    })
  },
}
