import { spawnSync } from 'node:child_process'
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export const FILE_SYSTEMS = ['ext4', 'xfs'] as const
export type FileSystem = (typeof FILE_SYSTEMS)[number]

/**
 * In bytes; only what is written takes space. Enough for a store's default reserve, and for four times a full staging
 * area.
 */
const SIZE = 1024 ** 3
const COMMAND_MS = 60_000

/** A file system in its own file, which can lose what was not flushed, as a disk does at a power cut. Needs root. */
export class Volume {
  readonly fileSystem: FileSystem
  /** Where it is mounted. */
  readonly directory: string
  readonly #image: string

  /** @throws {Error} The output of a failed command, also if there are no loop devices. */
  static make(fileSystem: FileSystem, parent: string): Volume {
    const volume = new Volume(fileSystem, parent)
    writeFileSync(volume.#image, '')
    truncateSync(volume.#image, SIZE)
    run(`mkfs.${fileSystem}`, '-q', volume.#image)
    mkdirSync(volume.directory)
    volume.#mount(attach(volume.#image))
    return volume
  }

  private constructor(fileSystem: FileSystem, parent: string) {
    this.fileSystem = fileSystem
    this.directory = join(parent, fileSystem)
    this.#image = join(parent, `${fileSystem}.img`)
  }

  /**
   * From now on nothing reaches the disk: neither unflushed writes, nor the journal in memory. Calls of processes that
   * use it fail with EIO.
   *
   * @see FS_IOC_SHUTDOWN in include/uapi/linux/fs.h, with FS_SHUTDOWN_FLAGS_NOLOGFLUSH
   */
  cut(): void {
    run('xfs_io', '-x', '-c', 'shutdown', this.directory)
  }

  /**
   * Remounts it after a cut, which replays its journal. No process may be using it.
   *
   * @param asAnother As another device, as the disk of a machine may be after a restart.
   */
  recover(asAnother: boolean): void {
    // Attached while the old one still is, it gets another device.
    const other = asAnother ? attach(this.#image) : null
    run('umount', this.directory)
    this.#mount(other ?? attach(this.#image))
  }

  /** Keeps the file system in its file, `<parent>/<name>.img`, even if it is in use. */
  unmount(): void {
    spawnSync('umount', ['--lazy', this.directory])
  }

  #mount(device: string): void {
    run('mount', '-t', this.fileSystem, device, this.directory)
    // Once it is no longer mounted, however that ends.
    run('losetup', '--detach', device)
  }
}

/** @returns The loop device of a file. */
function attach(image: string): string {
  return run('losetup', '--find', '--show', image).trim()
}

function run(command: string, ...args: readonly string[]): string {
  const { error, status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', timeout: COMMAND_MS })
  if (error) throw error
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr.trim() || `code ${status}`}`)
  return stdout
}
