import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { Mistake } from './mistake.ts'
import { driverName, packageName } from './name.ts'
import { renderTemplate } from './template.ts'

/** Where a new driver is written. */
export interface CreateOptions {
  /**
   * Where the package is written: an empty directory, or one that does not exist. @default `stored-driver-NAME` in the
   * current directory
   */
  readonly directory?: string
}

/**
 * Writes the package of a new driver.
 *
 * @param name The name for configurations: `acme`, or the full `stored-driver-acme`.
 * @returns The absolute path of the directory.
 * @throws {Mistake} The name is invalid, or the directory is not empty; nothing is written.
 */
export async function createDriver(name: string, options: CreateOptions = {}): Promise<string> {
  const files = await renderTemplate(driverName(name))
  const directory = resolve(options.directory ?? packageName(name))
  await refuseOccupied(directory)
  for (const [file, content] of files) {
    const path = join(directory, file)
    await mkdir(dirname(path), { recursive: true })
    // Files that appeared in the meantime are someone else's.
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
    if (code === 'ENOTDIR') throw new Mistake(`${directory} is not a directory`, { cause: error })
    if (code !== 'ENOENT') throw error
  }
}
