import path from 'node:path'
import { is, needed } from '@stored/core/backend'
import type { AccessMode } from '@stored/core/files'
import { accessMode } from './check-config.ts'
import type { UntypedConfig } from './config.ts'

/** Which store is meant: these options of its configuration. */
export type StoreLocation = Pick<UntypedConfig, 'path' | 'mode' | 'allowNetworkFileSystem'>

export const STORE_RULES = {
  path: needed(is.text),
  mode: is.oneOf(['0700', '0770']),
  allowNetworkFileSystem: is.boolean,
}

/** The same, as an index is opened. */
export function whereIs({ path: directory, mode, allowNetworkFileSystem }: StoreLocation): {
  readonly path: string
  readonly mode: AccessMode
  readonly allowNetworkFileSystem?: boolean
} {
  const network = allowNetworkFileSystem !== undefined && { allowNetworkFileSystem }
  return { path: path.resolve(directory), mode: accessMode(mode), ...network }
}
