import fs from 'node:fs'
import { errnoOf } from './errors.ts'
import type { Held } from './held.ts'
import { io } from './io.ts'
import type { Pace } from './pace.ts'
import { telltaleName, temporaryName } from './temp-names.ts'

/** What the file system below the root can do, found by probing. */
export interface Medium {
  /** `/proc/self/fd` gives the path of an open file and reaches into an open directory: checks are free of races. */
  readonly procfs: boolean
  readonly hardLinks: boolean
  /** A copy may share the blocks of its source. */
  readonly reflinks: boolean
  readonly caseSensitive: boolean
  readonly normalizes: boolean
}

/** Probes in the driver's own directory, and leaves nothing there. */
export async function probe(tmp: Held): Promise<Omit<Medium, 'procfs'>> {
  const name = telltaleName()
  const file = tmp.at(name)
  const copies = [tmp.at(temporaryName()), tmp.at(temporaryName())] as const
  await io.close(await io.open(file, 'wx'))
  try {
    return {
      hardLinks: await succeeds(io.link(file, copies[0])),
      reflinks: await succeeds(
        io.copyFile(file, copies[1], fs.constants.COPYFILE_FICLONE_FORCE | fs.constants.COPYFILE_EXCL),
      ),
      caseSensitive: !(await exists(tmp.at(name.replace('aB', 'Ab')))),
      normalizes: await exists(tmp.at(name.normalize('NFD'))),
    }
  } finally {
    for (const path of [file, ...copies]) await unlinkIfThere(path)
  }
}

/** @returns Whether the file existed. */
export async function unlinkIfThere(path: string, pace?: Pace): Promise<boolean> {
  try {
    await io.unlink(path, pace)
    return true
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false
    throw error
  }
}

async function succeeds(call: Promise<unknown>): Promise<boolean> {
  return call.then(
    () => true,
    (error) => {
      // A full or failing disk does not tell what it supports.
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
