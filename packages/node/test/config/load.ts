import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { StorageError } from '@stored/core/backend'
import { type LoadedConfig, type LoadOptions, loadConfig } from '@stored/node/config'
import { temp } from '../temp.ts'

export interface Given extends Omit<LoadOptions, 'cwd'> {
  /** By name, in the directory that is loaded from. */
  readonly files?: Readonly<Record<string, string>>
}

/** What `loadConfig` makes of files and variables; the directory is shown as `DIR`. */
export async function load({ files = {}, env = {}, ...options }: Given): Promise<LoadedConfig> {
  await using dir = await temp()
  for (const [name, text] of Object.entries(files)) await writeFile(path.join(dir.path, name), text)
  return await loadConfig({ cwd: dir.path, env, ...options }).then(
    (loaded) => withoutDirectory(loaded, dir.path),
    (error) => Promise.reject(StorageError.is(error) ? shorter(error, dir.path) : error),
  )
}

function withoutDirectory(loaded: LoadedConfig, directory: string): LoadedConfig {
  return JSON.parse(JSON.stringify(loaded).replaceAll(directory, 'DIR')) as LoadedConfig
}

function shorter({ code, at, detail = '', cause }: StorageError, directory: string): StorageError {
  return new StorageError(code, at, { detail: detail.replaceAll(directory, 'DIR'), cause })
}
