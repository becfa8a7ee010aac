import { readFileSync } from 'node:fs'

/**
 * Identifies the current boot of the machine; `undefined` if the system does not tell. Read synchronously: the kernel
 * answers from memory.
 *
 * @see random(4), boot_id
 */
export function bootId(): string | undefined {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim() || undefined
  } catch {
    // Not Linux, or a container without /proc: each crash then looks like one of the process alone.
    return undefined
  }
}
