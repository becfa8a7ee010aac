import { execFile } from 'node:child_process'
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)
const IMAGE_BYTES = 512 * 1024 * 1024

/** A file system of another kind: how an image of it is made, and the ways to mount one, the kernel's own first. */
export interface Medium {
  readonly name: string
  readonly make: readonly string[]
  readonly mounts: readonly (readonly string[])[]
}

export const NTFS: Medium = {
  name: 'NTFS',
  make: ['mkntfs', '-F', '-Q'],
  mounts: [
    ['mount', '-t', 'ntfs3', '-o', 'windows_names'],
    ['ntfs-3g', '-o', 'windows_names'],
  ],
}
export const EXFAT: Medium = {
  name: 'exFAT',
  make: ['mkfs.exfat'],
  mounts: [['mount', '-t', 'exfat']],
}
/** With reflinks: a file can share the blocks of another. */
export const XFS: Medium = {
  name: 'XFS',
  make: ['mkfs.xfs', '-q', '-m', 'reflink=1'],
  mounts: [['mount', '-t', 'xfs']],
}
/** With reflinks, too. */
export const BTRFS: Medium = { name: 'Btrfs', make: ['mkfs.btrfs', '-q'], mounts: [['mount', '-t', 'btrfs']] }
export const EXT4: Medium = { name: 'ext4', make: ['mkfs.ext4', '-q'], mounts: [['mount', '-t', 'ext4']] }
export const FAT: Medium = { name: 'FAT', make: ['mkfs.vfat', '-F', '32'], mounts: [['mount', '-t', 'vfat']] }

export interface Mounted extends AsyncDisposable {
  readonly path: string
}

/** Mounts a new file system, or says why that cannot be done here. */
export async function mount(medium: Medium): Promise<Mounted | string> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'only root of Linux may mount'
  await using undo = new AsyncDisposableStack()
  const place = await mkdtemp(join(tmpdir(), 'stored-medium-'))
  undo.defer(() => rm(place, { recursive: true, force: true }))
  const [image, path] = [join(place, 'image'), await mkdtemp(join(place, 'mnt-'))]
  await writeFile(image, '')
  await truncate(image, IMAGE_BYTES)
  const [maker, ...options] = medium.make as [string, ...string[]]
  const failed = await run(maker, [...options, image]).then(
    () => null,
    (error: Error) => error.message,
  )
  if (failed !== null) return `no ${medium.name} can be made: ${failed}`
  const device = (await run('losetup', ['--find', '--show', image])).stdout.trim()
  undo.defer(async () => void (await run('losetup', ['--detach', device])))
  const reasons: string[] = []
  for (const [program, ...how] of medium.mounts as [string, ...string[]][]) {
    const reason = await run(program, [...how, device, path]).then(
      () => null,
      (error: Error) => error.message.trim(),
    )
    if (reason !== null) {
      reasons.push(reason)
      continue
    }
    const stack = undo.move()
    stack.defer(async () => void (await run('umount', [path])))
    return { path, [Symbol.asyncDispose]: () => stack.disposeAsync() }
  }
  return `no ${medium.name} can be mounted: ${reasons.join('; ')}`
}
