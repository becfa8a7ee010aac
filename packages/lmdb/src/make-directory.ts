import { mkdir, open } from 'node:fs/promises'
import path from 'node:path'
import { type ErrorLocation, mapErrno } from '@stored/core/backend'

/** Makes a directory with its parents, durably: what lies in a directory whose own name is lost is lost with it. */
export async function makeDirectory(directory: string, at: ErrorLocation): Promise<void> {
  try {
    const first = await mkdir(directory, { recursive: true })
    if (first === undefined) return
    for (let made = path.resolve(directory); made.length >= first.length; made = path.dirname(made))
      await syncDirectory(path.dirname(made))
  } catch (error) {
    throw mapErrno(error, at)
  }
}

/** Flushes the names in a directory. */
export async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
