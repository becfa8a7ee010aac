import { posix } from 'node:path'
import type { Address } from '@stored/core/backend'
import type { SftpBackendOptions } from './options.ts'

const DEFAULT_PORT = 22

/** Host, port and root. A relative root starts where the server puts its user, which may be anywhere. */
export function addressOf({ host, port = DEFAULT_PORT, username, root }: SftpBackendOptions): Address {
  const path = posix.normalize(`${root}/`)
  const server = `${host.toLowerCase()}:${port}`
  if (path.startsWith('/')) return { host: `sftp:${server}`, path: path.replace(/^\/\/+/, '/') }
  return { host: `sftp:${username}@${server}`, path: path === './' ? '' : path }
}
