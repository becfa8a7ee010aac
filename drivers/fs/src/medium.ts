import { randomUUID } from 'node:crypto'
import fs from 'node:fs'
import { errnoOf } from './errors.ts'
import { io } from './io.ts'
import type { Pace } from './pace.ts'
import { join } from './paths.ts'

/** What the file system below the root can do, found out by trying. */
export interface Medium {
  /** `/proc/self/fd` tells where an open file lies and reaches into an open directory: checks without a race. */
  readonly procfs: boolean
  readonly hardLinks: boolean
  /** A copy may share the blocks of its source. */
  readonly reflinks: boolean
  readonly caseSensitive: boolean
  readonly normalizes: boolean
}

/** Tries in `directory`, which is absolute and free of links, and leaves nothing there. */
export async function probe(directory: string): Promise<Medium> {
  const id = randomUUID()
  // With an e acute, composed and decomposed.
  const file = join(directory, `probe-aB-\u00e9-${id}`)
  const copies = [join(directory, `link-${id}`), join(directory, `clone-${id}`)] as const
  await io.close(await io.open(file, 'wx'))
  try {
    return {
      procfs: await tellsPlaces(directory),
      hardLinks: await succeeds(io.link(file, copies[0])),
      reflinks: await succeeds(io.copyFile(file, copies[1], fs.constants.COPYFILE_FICLONE_FORCE)),
      caseSensitive: !(await exists(file.replace('probe-aB', 'PROBE-Ab'))),
      normalizes: await exists(file.normalize('NFD')),
    }
  } finally {
    for (const path of [file, ...copies]) await unlinkIfThere(path)
  }
}

/** @returns Whether the file was there to be removed. */
export async function unlinkIfThere(path: string, pace?: Pace): Promise<boolean> {
  try {
    await io.unlink(path, pace)
    return true
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false
    throw error
  }
}

async function tellsPlaces(directory: string): Promise<boolean> {
  const fd = await io.open(directory, 'r')
  try {
    return (await io.readlink(`/proc/self/fd/${fd}`)) === directory
  } catch {
    // No such thing on this system: whatever the error says, it is of no use.
    return false
  } finally {
    await io.close(fd)
  }
}

async function succeeds(call: Promise<unknown>): Promise<boolean> {
  return call.then(
    () => true,
    (error) => {
      // A full or failing disk is no answer to what it can do.
      if (['ENOSPC', 'EDQUOT', 'EIO', 'EMFILE', 'ENFILE'].includes(errnoOf(error) ?? '')) throw error
      return false
    },
  )
}

async function exists(path: string): Promise<boolean> {
  return io.lstat(path).then(
    () => true,
    (error) => {
      if (errnoOf(error) === 'ENOENT') return false
      throw error
    },
  )
}
