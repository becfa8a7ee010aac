import type { Stats } from 'node:fs'
import { stat } from 'node:fs/promises'

/** What lies at a path; `null` only if it is certain that nothing does. @throws The error of stat(2), if it cannot be told. */
export async function statIfThere(path: string): Promise<Stats | null> {
  try {
    return await stat(path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return null
    throw error
  }
}
