import { spawnSync } from 'node:child_process'
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export const FILE_SYSTEMS = ['ext4', 'xfs'] as const
export type FileSystem = (typeof FILE_SYSTEMS)[number]

/** In bytes, of which only what is written takes room. What a store keeps free by default fits in, and four times a full staging. */
const SIZE = 1024 ** 3
const COMMAND_MS = 60_000

/** A file system in a file of its own, which can lose what was not flushed, as a disk does at a power cut. Needs root. */
export class Volume {
  readonly fileSystem: FileSystem
  /** Where it is mounted. */
  readonly directory: string
  readonly #image: string

  /** @throws {Error} What a command said, also where there are no loop devices. */
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
   * From now on nothing reaches the disk any more: neither what was written and not flushed, nor the journal that is in memory.
   * Calls of processes that use it fail with EIO.
   *
   * @see FS_IOC_SHUTDOWN in include/uapi/linux/fs.h, with FS_SHUTDOWN_FLAGS_NOLOGFLUSH
   */
  cut(): void {
    run('xfs_io', '-x', '-c', 'shutdown', this.directory)
  }

  /**
   * Mounts it anew after a cut, which replays its journal. No process may use it any more.
   *
   * @param asAnother As another device, as the disk of a machine may be after a restart.
   */
  recover(asAnother: boolean): void {
    // Attached while the former one still is, it is another one.
    const other = asAnother ? attach(this.#image) : null
    run('umount', this.directory)
    this.#mount(other ?? attach(this.#image))
  }

  /** Leaves the file system in its file, `<parent>/<name>.img`, whoever uses it. */
  unmount(): void {
    spawnSync('umount', ['--lazy', this.directory])
  }

  #mount(device: string): void {
    run('mount', '-t', this.fileSystem, device, this.directory)
    // Once it is no longer mounted, whatever ends that.
    run('losetup', '--detach', device)
  }
}

/** @returns The loop device that a file is now. */
function attach(image: string): string {
  return run('losetup', '--find', '--show', image).trim()
}

function run(command: string, ...args: readonly string[]): string {
  const { error, status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', timeout: COMMAND_MS })
  if (error) throw error
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr.trim() || `code ${status}`}`)
  return stdout
}
