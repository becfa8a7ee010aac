import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { Mistake } from './mistake.ts'
import { driverName, packageName } from './name.ts'
import { renderTemplate } from './template.ts'

/** Where a new driver is written. */
export interface CreateOptions {
  /** Where the package is written: empty, or not there. @default `stored-driver-NAME` in the current directory */
  readonly directory?: string
}

/**
 * Writes the package of a new driver.
 *
 * @param name What configurations call it: `acme`, or the whole `stored-driver-acme`.
 * @returns The directory, as an absolute path.
 * @throws {Mistake} for a name that cannot be, or a directory that holds something; nothing is written then.
 */
export async function createDriver(name: string, options: CreateOptions = {}): Promise<string> {
  const files = await renderTemplate(driverName(name))
  const directory = resolve(options.directory ?? packageName(name))
  await refuseOccupied(directory)
  for (const [file, content] of files) {
    const path = join(directory, file)
    await mkdir(dirname(path), { recursive: true })
    // What came there in the meantime is someone else's.
    await writeFile(path, content, { flag: 'wx' })
  }
  return directory
}

async function refuseOccupied(directory: string): Promise<void> {
  try {
    const found = await readdir(directory)
    if (found.length > 0) throw new Mistake(`${directory} is not empty: it holds ${found.sort()[0]}`)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'ENOTDIR') throw new Mistake(`${directory} is no directory`, { cause: error })
    if (code !== 'ENOENT') throw error
  }
}
