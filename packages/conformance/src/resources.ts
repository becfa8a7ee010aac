import { readdirSync } from 'node:fs'

/** Open files and sockets of this process; elsewhere than on Linux, the resources that keep its event loop alive. */
export function openFiles(): number {
  if (process.platform !== 'linux') return process.getActiveResourcesInfo().length
  return readdirSync('/proc/self/fd').length
}
