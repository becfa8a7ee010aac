import { readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import type { StoreLocation } from '@stored/node'
import { Fault } from '../errors/fault.ts'
import { loadConfiguration } from './configuration.ts'
import type { Context } from './context.ts'

/** Exists as soon as a store has been created. */
const INDEX = 'index.mdb'
/** The name of a file that holds staged bytes. */
const STAGED = /^\d+[.-]/

/** Also true if only staged bytes are left: opening the store then says what to do. */
export async function isStore(directory: string): Promise<boolean> {
  return (await hasIndex(directory)) || (await stagedIn(directory)).length > 0
}

/** What finds the store of this call, without its backends. */
export async function locationOf(context: Context): Promise<StoreLocation> {
  const { path: directory, mode, allowNetworkFileSystem } = (await loadConfiguration(context)).config
  return {
    path: directory,
    ...(mode !== undefined && { mode }),
    ...(allowNetworkFileSystem !== undefined && { allowNetworkFileSystem }),
  }
}

/** The same, of a store that is there. @throws {Fault} NO_STORE. */
export async function storeOf(context: Context): Promise<StoreLocation> {
  const location = await locationOf(context)
  if (await hasIndex(location.path)) return location
  throw new Fault('NO_STORE', `there is no store at ${location.path}; stored init makes one`)
}

/** Whether there is an index that is not empty. */
export async function hasIndex(directory: string): Promise<boolean> {
  return ((await orWithout(stat(path.join(directory, INDEX)), null))?.size ?? 0) > 0
}

/** Names of the files that hold staged bytes. */
export async function stagedIn(directory: string): Promise<string[]> {
  return (await orWithout(readdir(path.join(directory, 'staging')), [])).filter((name) => STAGED.test(name))
}

async function orWithout<T, U>(found: Promise<T>, otherwise: U): Promise<T | U> {
  try {
    return await found
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return otherwise
    throw error
  }
}
